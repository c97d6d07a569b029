#!/usr/bin/python3
"""curl by name works from any box, for the names of the community and for those outside."""

from bed.case import equal, eventually, main

NEEDS = "town"


def test(town):
    """A page on each box that others can reach; the outside world answers all the same."""
    for box in town.boxes[:-1]:
        town.page(box, f"page of {box}\n")
    for box in town.boxes:
        for server in town.boxes[:-1]:
            url = f"http://{town.host(server)}/"

            def fetched(box=box, url=url):
                return box.sh(f"curl -sS --max-time 5 {url}")

            page, _ = eventually(f"{box} fetches {url}", fetched, 20)
            equal(page, f"page of {server}", f"{url} from {box}")
        equal(box.sh("curl -sS --max-time 5 http://www.outside.test/"), "outside", f"{box}: the world outside")
    # The resolver is for the box and its links, not for everybody.
    first = town.boxes[0]
    near = town.visitor.sh(f"dig +short +time=2 +tries=1 @{first.address} www.outside.test A", check=False)
    equal(near, "192.0.2.80", "an outside name asked from the same link")
    far = town.boxes[2].run(f"dig +short +time=2 +tries=1 @{first.address} www.outside.test A", check=False).stdout
    equal(far.strip(), "", "an outside name asked from another link")


main(__name__, __file__)
