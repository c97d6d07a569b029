"""Boxes of a large community: the founder's registry is filled while its daemons are stopped."""

import json
import os
import pathlib
import subprocess
import time

from bed.bed import eventually
from bed.host import TOP, Failed, as_owner, run
from bed.town import UNITS
from members import lines

COMMUNITY = "large"
ZONE = "z00"


def populate():
    """Builds the program that signs records, and gives its path; with packages that are given, one that is there will do."""
    program = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "release/examples/populate"
    if not (program.exists() and os.environ.get("GUIFI_TEST_REPOSITORY")):
        # As `cargo test --workspace` does, which it may share its work with.
        run(*as_owner(["cargo", "build", "--release", "--locked", "--workspace", "--example", "populate"]), cwd=TOP, timeout=3600)
    return program


def found(box, listed):
    """Makes a box the founder of a community with all these members; seconds until all is served."""
    program = populate()
    box.sh(f"guifi-join {COMMUNITY} --create --zone {ZONE} --name {box} --wait --yes", timeout=120)
    own = describe(box, "Registry1")["records"]
    box.sh(f"systemctl stop {' '.join(UNITS)}", timeout=120)
    state, key = (box.merged / "var/lib/guifi" / path for path in ("registryd", "peerd/key"))
    done = subprocess.run([program, state, key], input=lines(listed), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"populate: {done.stderr}")
    begin = time.monotonic()
    box.sh(f"systemctl start {' '.join(UNITS)}", timeout=300)
    complete(box, own + int(done.stdout), listed)
    return time.monotonic() - begin


def describe(box, interface):
    """What a daemon says of itself."""
    path = f"/net/guifi/{interface}"
    words = f"busctl --json=short --timeout=60 call net.guifi.{interface} {path} net.guifi.{interface} Describe"
    return json.loads(box.json(words, timeout=90)["data"][0])


def complete(box, records, listed, deadline=1800):
    """Waits until all daemons of a box have everything; seconds until registryd, discoveryd and dnsd had it."""
    services = sum(len(member["services"]) for member in listed)
    names = {
        "guifi-registryd": lambda: describe(box, "Registry1")["records"] >= records,
        "guifi-discoveryd": lambda: describe(box, "Discovery1")["community_services"] >= services,
        "guifi-dnsd": lambda: sum(zone["instances"] for zone in describe(box, "Dns1")["zones"]) >= services,
    }
    begin = time.monotonic()
    took = {}
    for name, full in names.items():
        eventually(f"{name} of {box} has all", full, deadline, every=0.5)
        took[name] = time.monotonic() - begin
    return took
