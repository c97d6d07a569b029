"""The town: a community of boxes on three links, with a router and a NAT.

    east (zone vic)  vic-01 Debian 12, relays; vic-02 Debian 13; visitor (nothing of ours)
      |
    router, name server and web page of the outside world
      |
    west (zone tona) tona-01 Debian 12, relays
      |
    NAT
      |
    inner (zone tona) moia-01 Debian 13
"""

import json
import shlex

from .base import RELEASES, base
from .bed import Bed, eventually, together
from .host import Failed, need_bed
from .node import Node
from .say import say

COMMUNITY = "osona"
DOMAIN = "osona.internal"
RELAYS = ("vic-01", "tona-01")
UNITS = ("guifi-peerd", "guifi-registryd", "guifi-discoveryd", "guifi-dnsd")


class Town:
    """Boxes with the packages installed; joined by `join`."""

    def __init__(self, repository, tag=None, boxes=3):
        need_bed()
        together(base, RELEASES)
        self.bed = Bed(tag)
        try:
            self._lay_out(repository, boxes)
        except BaseException:
            self.bed.close()
            raise

    def _lay_out(self, repository, boxes):
        net = self.bed.network
        self.east, self.west, self.inner = (net.link(name) for name in ("east", "west", "inner"))
        self.router = net.router("router", self.east, self.west)
        self.bed.outside(self.router)
        net.nat("nat", self.inner, self.west, 254)
        self.zones = {}
        places = [("vic", self.east), ("vic", self.east), ("tona", self.west)]
        counts = {}
        for number in range(boxes):
            zone, link = places[number % len(places)]
            counts[zone] = counts.get(zone, 0) + 1
            self._box(f"{zone}-{counts[zone]:02}", zone, link, number, repository)
        self.hidden = self._box("moia-01", "tona", self.inner, 1, repository)
        self.visitor = self.bed.visitor("visitor", self.east)

    def _box(self, name, zone, link, number, repository):
        self.zones[name] = zone
        return self.bed.node(name, RELEASES[number % 2], link, repository)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Takes the town down."""
        self.bed.close()

    @property
    def boxes(self):
        """All boxes, the first (which creates the community) first."""
        return list(self.bed.nodes.values())

    def __getitem__(self, name):
        return self.bed.nodes[name]

    def others(self, box):
        """All boxes but one."""
        return [other for other in self.boxes if other is not box]

    def zone(self, box):
        """The browse domain of a box."""
        return f"{self.zones[box.name]}.{DOMAIN}"

    def host(self, box):
        """The DNS name of a box."""
        return f"{box.name}.{self.zone(box)}"

    def boot(self):
        """Boots all boxes."""
        say(f"booting {len(self.boxes)} boxes: " + ", ".join(f"{box} ({box.release})" for box in self.boxes))
        together(Node.start, self.boxes)

    def install(self):
        """Installs the distro on all boxes, through APT."""
        say("installing guifi-community-distro on each, through APT from the signed repository")
        together(lambda box: box.install("guifi-community-distro"), self.boxes)
        relays = [box for box in self.boxes if box.name in RELAYS]
        say(f"letting {' and '.join(map(str, relays))} relay for boxes that others do not reach")
        for box in relays:
            box.write("/etc/guifi/peerd.d/50-relay.toml", "relay = true\n")
        together(lambda box: box.sh("systemctl restart guifi-peerd"), relays)

    def join(self, show=False):
        """The first box creates the community, all others join with it as seed."""
        first = self.boxes[0]
        self._join(first, "--create", show=show)
        seed = f"--seed {first.address}"
        together(lambda box: self._join(box, seed, show=show), self.boxes[1:])
        for box in self.boxes:
            eventually(f"{box} sees all members", lambda box=box: self.members(box) >= len(self.boxes), 60)

    def _join(self, box, how, show):
        words = f"guifi-join {COMMUNITY} {how} --zone {self.zones[box.name]} --name {box.name} --wait --yes"
        if show:
            say(f"{box}# {words}")
        box.sh(words, timeout=120)

    @staticmethod
    def members(box):
        """How many members the registry of a box knows."""
        document = box.json("busctl --json=short call net.guifi.Registry1 /net/guifi/Registry1 net.guifi.Registry1 Describe")
        inner = json.loads(document["data"][0])
        return inner["members"]

    def repair(self):
        """After a test: heals the network, boots what is off, starts what was stopped."""
        self.bed.network.heal(self.router)
        for box in self.boxes:
            box.plug()
            if not box.ok("true", timeout=10):
                box.start()
            box.sh(f"systemctl reset-failed; systemctl start avahi-daemon {' '.join(UNITS)}", timeout=60)
        for box in self.boxes:
            self.well(box)

    def well(self, box, deadline=90):
        """Waits until all parts of a box are ok."""
        eventually(f"{box} is well", lambda: box.ok("guifi-status", timeout=20), deadline, every=1)

    def page(self, box, text):
        """Serves a page on a box, by a web server that knows nothing of us."""
        box.write("/var/www/html/index.html", text)
        box.sh("systemctl start lighttpd")

    @staticmethod
    def publish(box, name, kind="_http._tcp", port=80, *more):
        """Publishes a service to the whole community."""
        words = " ".join(shlex.quote(str(word)) for word in (name, kind, port, *more))
        return box.sh(f"guifi-publish --global {words}")

    @staticmethod
    def unpublish(box, name, kind="_http._tcp"):
        """Ends a service."""
        return box.sh(f"guifi-unpublish {shlex.quote(name)} {kind}")

    @staticmethod
    def names(box, scope="community"):
        """The names of the services that a box sees."""
        return {service["name"] for service in box.lines(f"guifi-browse --scope {scope} --json")}

    def seen(self, boxes, name, there=True, deadline=30):
        """Waits until all these boxes see (or no longer see) a service."""
        for box in boxes:
            word = "sees" if there else "no longer sees"
            eventually(f"{box} {word} {name!r}", lambda box=box: (name in self.names(box)) is there, deadline)


def diagnose(town):
    """For the log: what each box says of itself."""
    parts = []
    for box in town.boxes:
        try:
            state = box.run("guifi-status 2>&1; guifi-peer list 2>&1", check=False, timeout=20).stdout
            state += f"\n{box.journal(lines=80)}"
        except Exception as error:  # whatever is broken must not hide what broke it
            state = str(error)
        parts.append(f"== {box} ({box.release}, {box.address})\n{state}\n")
    return "\n".join(parts)
