#!/usr/bin/python3
"""Names with spaces, dots, quotes, accents and emoji survive the whole way."""

import shlex

from bed.case import check, eventually, main

NEEDS = "town"

NAMES = ["Fotos d'en Pere", "Notes v1.2 (draft)", 'The "good" page', "Cafè ☕ al carrer 🎉", "back\\slash"]


def test(town):
    """Published on one box, read on all others and through DNS."""
    box = town.boxes[0]
    for number, name in enumerate(NAMES):
        town.publish(box, name, "_http._tcp", 8100 + number, "path=/x y", "--check", "none")
    try:
        for name in NAMES:
            town.seen(town.others(box), name)
        far = town.boxes[-1]
        for name in NAMES:
            label = "".join(f"\\{char}" if char in ' ."\\();@$' else char for char in name)
            query = shlex.quote(f"{label}._http._tcp.{town.zone(box)}")
            words = f"dig +short {query} SRV"
            answer, _ = eventually(f"an answer for {name!r}", lambda words=words: far.sh(words), 15)
            check(town.host(box) in answer, f"SRV of {name!r}: {answer!r}")
    finally:
        for name in NAMES:
            town.unpublish(box, name)
    for name in NAMES:
        town.seen(town.others(box), name, there=False)
    refused = box.run("guifi-publish --global Bad _not_a_type 80 2>&1", check=False)
    check(refused.returncode == 2 or refused.returncode == 1, f"a malformed type is taken: {refused.stdout}")


main(__name__, __file__)
