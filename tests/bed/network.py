"""Links, cables, routers and their faults, in network namespaces.

All links (bridges) of a bed are in one namespace, the switch. A cable is a pair of virtual
Ethernet ends: one in the namespace of a node, the other on the link, named like the node.
"""

import ipaddress

from .host import run

_BRIDGE_FAULTS = """
table bridge faults {
  set cut { type ifname . ifname; }
  chain pass { type filter hook forward priority 0; iifname . oifname @cut drop; }
}
"""

_ROUTER_FAULTS = """
table inet faults {
  set cut { type ifname . ifname; }
  chain pass { type filter hook forward priority 0; iifname . oifname @cut drop; }
}
"""

_NAT = """
table ip nat {{
  chain out {{ type nat hook postrouting priority 100; oifname "{outer}" masquerade; }}
}}
table inet guard {{
  chain pass {{
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "{inner}" accept
  }}
}}
"""


class Link:
    """An Ethernet link: IPv4 10.77.N.0/24, IPv6 fd77:N::/64; the router is always 1."""

    def __init__(self, name, number):
        self.name = name
        self.number = number
        self.v4 = ipaddress.ip_network(f"10.77.{number}.0/24")
        self.v6 = ipaddress.ip_network(f"fd77:{number:x}::/64")

    def addresses(self, host):
        """IPv4 and IPv6 address of a host by its number."""
        return str(self.v4[host]), str(self.v6[host])


class Network:
    """The links, routers and cables of one bed."""

    def __init__(self, tag):
        self.tag = tag
        self.links = {}
        self.switch = self.namespace("switch")
        self._nft(self.switch, _BRIDGE_FAULTS)

    def namespace(self, name):
        """Makes a network namespace and returns its name on the host."""
        full = f"guifi-{self.tag}-{name}"
        run("ip", "netns", "add", full)
        run("ip", "-n", full, "link", "set", "lo", "up")
        # Nobody else has our addresses: no second of waiting for that.
        self.inside(full, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        return full

    def inside(self, namespace, *words, **more):
        """Runs a command of the host in a namespace (without hiding /sys, unlike ip netns exec)."""
        return run("nsenter", f"--net=/run/netns/{namespace}", "--", *words, **more)

    def _nft(self, namespace, rules):
        self.inside(namespace, "nft", rules)

    def link(self, name):
        """Makes a link."""
        link = Link(name, len(self.links) + 1)
        self.links[name] = link
        self._ip("link", "add", name, "type", "bridge", "stp_state", 0, "mcast_snooping", 0, "forward_delay", 0)
        self._ip("link", "set", name, "up")
        return link

    def _ip(self, *words):
        run("ip", "-n", self.switch, *words)

    def cable(self, namespace, link, port, end="eth0", host=1):
        """Connects a namespace to a link by a cable with two addresses."""
        self._ip("link", "add", "name", port, "type", "veth", "peer", "name", end, "netns", namespace)
        self._ip("link", "set", "dev", port, "master", link.name, "up")
        v4, v6 = link.addresses(host)
        run("ip", "-n", namespace, "addr", "add", f"{v4}/24", "brd", "+", "dev", end)
        run("ip", "-n", namespace, "addr", "add", f"{v6}/64", "dev", end, "nodad")
        run("ip", "-n", namespace, "link", "set", end, "up")

    def default_route(self, namespace, link, host=1):
        """Sends everything else to a router of the link."""
        v4, v6 = link.addresses(host)
        run("ip", "-n", namespace, "route", "add", "default", "via", v4)
        run("ip", "-n", namespace, "-6", "route", "add", "default", "via", v6)

    def _forwarding(self, namespace):
        self.inside(namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def router(self, name, *links):
        """A router between links, host 1 of each; its ends are named like the links."""
        namespace = self.namespace(name)
        for link in links:
            self.cable(namespace, link, f"{name[:6]}-{link.name[:8]}", end=link.name)
        self._forwarding(namespace)
        self._nft(namespace, _ROUTER_FAULTS)
        return namespace

    def nat(self, name, inner, outer, host):
        """A NAT router, like the one of a home: `inner` may call out, nobody calls in."""
        namespace = self.namespace(name)
        self.cable(namespace, inner, f"{name[:6]}-{inner.name[:8]}", end=inner.name)
        self.cable(namespace, outer, f"{name[:6]}-{outer.name[:8]}", end=outer.name, host=host)
        v4, _ = outer.addresses(1)
        run("ip", "-n", namespace, "route", "add", "default", "via", v4)
        self._forwarding(namespace)
        self._nft(namespace, _NAT.format(inner=inner.name, outer=outer.name))
        return namespace

    def pull(self, port):
        """Pulls the cable of a node: it sees that its carrier is gone."""
        self._ip("link", "set", "dev", port, "down")

    def plug(self, port):
        """Puts the cable back."""
        self._ip("link", "set", "dev", port, "up")

    def cut_ports(self, some, others):
        """Drops everything between two groups of nodes on one link; nobody is told."""
        pairs = [f'"{a}" . "{b}", "{b}" . "{a}"' for a in some for b in others]
        self._nft(self.switch, f"add element bridge faults cut {{ {', '.join(pairs)} }}")

    def cut_links(self, router, one, other):
        """Drops everything that the router would pass between two links; nobody is told."""
        pairs = f'"{one}" . "{other}", "{other}" . "{one}"'
        self._nft(router, f"add element inet faults cut {{ {pairs} }}")

    def heal(self, router=None):
        """Undoes the cuts."""
        self._nft(self.switch, "flush set bridge faults cut")
        if router:
            self._nft(router, "flush set inet faults cut")
