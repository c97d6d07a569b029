#!/usr/bin/python3
"""kill -9, cut cables and power cuts at random, under publishing load, lose nothing that was acknowledged.

Every box publishes, replaces and withdraws its own services without a pause, and notes what
its commands acknowledged, while faults strike: a daemon is killed, a cable is pulled for some
seconds, a box loses its power and boots again. Then all heals, and every box must agree with
the notes: in guifi-browse, in DNS, and record by record in the registry. Ten faults, or ten
rounds of ten with --long.

The seed (GUIFI_TEST_SEED, otherwise by chance, and printed) repeats the faults and the
commands, not the moments at which one meets the other. The power of a container goes by
lxc-stop -k: all its processes die at once, but what they have written is kept by the host.
What a disk loses that was not synced is for `cargo test -p guifi-registryd power::`.
"""

import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from bed.case import Failed, check, equal, eventually, main, say, together
from bed.town import DOMAIN, UNITS

NEEDS = "town"
TIMEOUT = 5400

FAULTS, ROUNDS, LONG_ROUNDS = 10, 1, 10
KINDS = ("_http._tcp", "_ipp._tcp")
SERVICES = 10
"""Of each type on each box; twenty of one type is what a box may publish."""
HEALED = 180


class Load:
    """The services of one box: what others must see of each."""

    def __init__(self, box, seed):
        self.box = box
        self.chance = random.Random(f"{seed}/{box}")
        # Port, or None for one that is not published; several while nothing was acknowledged.
        self.may_be = {(kind, f"storm-{box}-{n:02}"): {None} for kind in KINDS for n in range(SERVICES)}
        self.port = 20_000
        self.done = Counter()

    def work(self, stop):
        """Publishes and withdraws until it is told to stop."""
        while not stop.is_set():
            key = self.chance.choice(list(self.may_be))
            published = self.may_be[key] != {None}
            port = None if published and self.chance.random() < 0.4 else self._next()
            # As a person does: the same command again until it succeeds.
            while not self._command(key, port) and not stop.wait(0.5):
                pass
            stop.wait(self.chance.uniform(0, 0.6))

    def _next(self):
        self.port += 1
        return self.port

    def _command(self, key, port):
        kind, name = key
        words = f"guifi-unpublish {name} {kind}" if port is None else f"guifi-publish --global {name} {kind} {port} --check none"
        before = self.may_be[key]
        # From now on it may have happened, whatever is heard of it.
        self.may_be[key] = before | {port}
        status = self.box.run(f"{words} >/dev/null", check=False, timeout=90)
        gone = port is None and "does not publish" in status.stderr
        check(not gone or None in before, f"{self.box} has forgotten {name}, which was {before}")
        acknowledged = gone or status.returncode == 0
        if acknowledged:
            self.may_be[key] = {port}
        self.done["acknowledged" if acknowledged else "not acknowledged"] += 1
        return acknowledged


class Storm:
    """The faults, several at once, one at a time on each box."""

    def __init__(self, town, seed):
        self.town = town
        self.chance = random.Random(f"{seed}/faults")
        self.locks = {box.name: threading.Lock() for box in town.boxes}
        self.struck = Counter()

    def blow(self, faults):
        """So many faults, one after the other and into each other."""
        with ThreadPoolExecutor(4) as pool:
            under_way = []
            for _ in range(faults):
                strike = self.chance.choices((self._kill, self._pull, self._cut_power), (6, 2, 2))[0]
                arguments = self.chance.choice(self.town.boxes), self.chance.choice(UNITS), self.chance.uniform(1, 8)
                under_way.append(pool.submit(strike, *arguments))
                time.sleep(self.chance.uniform(0.2, 3))  # the moments are what is tried
            for fault in under_way:
                fault.result()

    def _kill(self, box, unit, _seconds):
        with self.locks[box.name]:
            before, _ = eventually(f"{unit} runs on {box}", lambda: box.unit_pid(unit), 60)
            box.kill(unit)
            eventually(f"{unit} is back on {box}", lambda: box.unit_pid(unit) not in (0, before), 60)
            self.struck["kill -9"] += 1

    def _pull(self, box, _unit, seconds):
        with self.locks[box.name]:
            box.pull()
            time.sleep(seconds)  # how long the cable is out
            box.plug()
            self.struck["cable"] += 1

    def _cut_power(self, box, _unit, seconds):
        with self.locks[box.name]:
            box.crash()
            time.sleep(seconds / 2)  # how long the power is away
            box.start(deadline=180)
            self.struck["power"] += 1


def _browsed(box):
    found = [s for s in box.lines("guifi-browse --scope community --json") if s["name"].startswith("storm-")]
    services = {(s["type"], s["name"]): s["port"] for s in found if s["state"] == "live"}
    equal(len(services), len(found), f"{box} shows services twice, or not as live: {found}")
    return services


def _resolved(town, box):
    """What DNS on a box says: pointers of every type and zone, and the port of each instance."""
    ports = {}
    for kind in KINDS:
        for zone in sorted(set(town.zones.values())):
            dig = "dig @127.0.0.1 +tcp +tries=1 +time=10"
            names = box.sh(f"{dig} +short {kind}.{zone}.{DOMAIN} PTR").split()
            questions = " ".join(f"{name} SRV" for name in names if name.startswith("storm-"))
            answers = box.sh(f"{dig} +noall +answer {questions}").splitlines() if questions else []
            for words in (line.split() for line in answers):
                ports[kind, words[0].split(".")[0]] = int(words[6])
    return ports


def _records(box):
    return {(r["owner"], r["kind"], r["name"]): r["version"] for r in box.lines("guifi-registry list --json")}


def _wrong(loads, found):
    may_be = {key: ports for load in loads for key, ports in load.may_be.items()}
    return {key: (found.get(key), ports) for key, ports in may_be.items() if found.get(key) not in ports}


def _same(town, loads, look):
    """Every box says the same, and nothing that is not in the notes."""

    def compare():
        found = together(look, town.boxes)
        for box, services in zip(town.boxes, found):
            wrong = _wrong(loads, services)
            check(not wrong, f"{box} has {len(wrong)} wrong services, found and noted: {wrong}")
            equal(services, found[0], f"{box} differs from {town.boxes[0]}")
        return (found[0],)

    (found,), took = eventually("every box has what was acknowledged", compare, HEALED, every=1)
    return found, took


def _check(town, loads):
    for box in town.boxes:
        town.well(box, HEALED)
    services, browsed = _same(town, loads, _browsed)
    in_dns, resolved = _same(town, loads, lambda box: _resolved(town, box))
    equal(in_dns, services, "DNS differs from guifi-browse")

    def alike():
        lists = together(_records, town.boxes)
        for box, records in zip(town.boxes, lists):
            differing = set(records.items()) ^ set(lists[0].items())
            check(not differing, f"{box} and {town.boxes[0]} differ in {sorted(differing)[:10]}")
        return lists[0]

    records, _ = eventually("all boxes have the same records", alike, HEALED, every=1)
    for verified in together(lambda box: box.run("guifi-registry verify", check=False), town.boxes):
        check(verified.returncode == 0, f"guifi-registry verify: {verified.stdout}{verified.stderr}")
    return f"{len(services)} services and {len(records)} records alike on all boxes {browsed + resolved:.1f} s after the boxes were well"


def test(town):
    """A round is a storm, then healing and a look at everything."""
    seed = os.environ.get("GUIFI_TEST_SEED") or str(random.SystemRandom().randrange(1_000_000))
    say(f"      GUIFI_TEST_SEED={seed}")
    loads, storm = [Load(box, seed) for box in town.boxes], Storm(town, seed)
    try:
        for number in range(LONG_ROUNDS if town.long else ROUNDS):
            stop = threading.Event()
            with ThreadPoolExecutor(len(loads)) as pool:
                at_work = [pool.submit(load.work, stop) for load in loads]
                try:
                    storm.blow(FAULTS)
                finally:
                    stop.set()
                for work in at_work:
                    work.result()
            found = _check(town, loads)
            say(f"      round {number + 1}: {found}")
    except Failed as error:
        raise Failed(f"{error}\nGUIFI_TEST_SEED={seed}") from None
    finally:
        together(_clean, town.boxes)
    done = sum((load.done for load in loads), Counter())
    say("      faults: " + ", ".join(f"{count} {kind}" for kind, count in sorted(storm.struck.items())))
    say("      commands: " + ", ".join(f"{count} {kind}" for kind, count in sorted(done.items())))


def _clean(box):
    if not box.ok("true", timeout=10):
        box.start()
    # A new registry has a fresh allowance of writes.
    box.run("systemctl restart guifi-registryd", check=False)
    words = [f"guifi-unpublish storm-{box}-{n:02} {kind}" for kind in KINDS for n in range(SERVICES)]
    box.run(f"({'; '.join(words)}) >/dev/null 2>&1", check=False, timeout=300)


main(__name__, __file__)
