#!/usr/bin/python3
"""What is published on one box is seen on every other within seconds, with daemons killed in between."""

import time

from bed.case import main, say, together
from bed.town import UNITS

NEEDS = "town"
TIMEOUT = 1800

ROUNDS, LONG_ROUNDS = 24, 200

WATCH = """for i in $(seq 600); do
  if guifi-browse --scope community --json | grep -qF -- '{name}'; then s=there; else s=gone; fi
  [ $s != {state} ] || {{ date +%s.%N; exit 0; }}
  sleep 0.05
done; exit 1"""


def _measure(town, box, name, state, words):
    """Seconds from the start of the command until each other box sees the change."""
    begin = float(box.sh(f"date +%s.%N; {words} >/dev/null").splitlines()[0])
    watch = WATCH.format(name=name, state=state)
    return [float(end) - begin for end in together(lambda other: other.sh(watch, timeout=60), town.others(box))]


def test(town):
    """A round is one service, published and unpublished, on one box after the other."""
    rounds = LONG_ROUNDS if town.long else ROUNDS
    there, gone = [], []
    kills = [(box, unit) for unit in UNITS for box in town.boxes]
    begin = time.monotonic()
    for number in range(rounds):
        box = town.boxes[number % len(town.boxes)]
        name = f"Round {number:03}"
        there += _measure(town, box, name, "there", f"guifi-publish --global '{name}' _http._tcp {9000 + number} --check none")
        if number % max(1, rounds // len(kills)) == 0 and kills:
            victim, unit = kills.pop(0)
            victim.kill(unit)
        gone += _measure(town, box, name, "gone", f"guifi-unpublish '{name}' _http._tcp")
    say(f"      {rounds} publishes and unpublishes in {time.monotonic() - begin:.0f} s, seen on {len(town.boxes) - 1} other boxes")
    say("                    median    99 %     max")
    for word, values in (("published", there), ("unpublished", gone)):
        values.sort()
        median, high = values[len(values) // 2], values[min(len(values) - 1, len(values) * 99 // 100)]
        say(f"      {word:12} {median:7.2f} s {high:6.2f} s {values[-1]:6.2f} s")
    say("      asked for        2.00 s   5.00 s   (a figure for the table, not a verdict: the machine may be busy)")


main(__name__, __file__)
