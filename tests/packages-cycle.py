#!/usr/bin/python3
"""Install, upgrade, remove and purge leave a clean system, on Debian 12 and 13."""

from bed.base import RELEASES
from bed.case import Node, check, equal, main, run, together
from bed.packages import copy, next_version
from bed.town import UNITS

NEEDS = "bed"
TIMEOUT = 420

PLACES = ("/etc", "/usr", "/var", "/srv", "/opt", "/root")
OURS = "$(dpkg-query -W -f '${db:Status-Status} ${Package}\\n' 'guifi*' | sed -n 's/^installed \\|^config-files //p')"
MORE = ("guifi-gatewayd", "guifi-mirrord", "guifi-portald", "guifi-storaged")
PACKAGES = ("guifi-community-distro", *MORE)
DAEMONS = (*UNITS, *MORE)
CONFFILE = "/etc/guifi/dnsd.toml"


def _tree(node):
    # Copies that the account tools keep of their own files are not ours.
    backups = ("/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-")
    return {line for line in node.files(*PLACES) if line.split(" ")[0] not in backups}


def _cycle(node):
    before = _tree(node)
    resolver = node.sh("cat /etc/resolv.conf")

    node.install(*PACKAGES)
    for unit in DAEMONS:
        equal(node.sh(f"systemctl is-active {unit}; systemctl is-enabled {unit}"), "active\nenabled", f"{node}: {unit}")
    check(node.ok("getent hosts www.outside.test"), f"{node}: names outside do not resolve after installing")
    joined = node.sh("debconf-show guifi-box")
    check("* " not in joined, f"{node}: a plain installation has asked something:\n{joined}")
    equal(node.sh(f"dpkg --verify {OURS}"), "", f"{node}: changed files after installing")
    equal(node.sh("dpkg --audit"), "", f"{node}: half-installed packages")

    node.sh(f"echo '# changed by the administrator' >>{CONFFILE}")
    installed = node.sh("dpkg-query -W -f '${Version}' guifi-dnsd")
    yield "upgrade"
    since = node.sh("date '+%F %T'; sleep 1").splitlines()[0]
    node.install(*PACKAGES)
    equal(node.sh("dpkg-query -W -f '${Version}' guifi-dnsd"), f"{installed}+upgrade.1", f"{node}: version after the upgrade")
    check("administrator" in node.sh(f"cat {CONFFILE}"), f"{node}: the upgrade has lost a change in {CONFFILE}")
    for unit in DAEMONS:
        starts = node.sh(f"journalctl -q -b -u {unit} --since '{since}' -o cat").count("Started ")
        equal(starts, 1, f"{node}: starts of {unit} at the upgrade")
        equal(node.sh(f"systemctl is-active {unit}"), "active", f"{node}: {unit} after the upgrade")

    node.sh(f"apt-get -qq -y remove {OURS}", timeout=180)
    equal(node.sh("cat /etc/resolv.conf"), resolver, f"{node}: /etc/resolv.conf after removal")
    check("administrator" in node.sh(f"cat {CONFFILE}"), f"{node}: removal has removed {CONFFILE}")
    equal(node.sh("systemctl list-units --no-legend --state=active 'guifi*'"), "", f"{node}: units after removal")
    check(node.ok("getent hosts www.outside.test"), f"{node}: names outside do not resolve after removal")

    node.install(*PACKAGES)
    equal(node.sh(f"systemctl is-active {UNITS[0]}"), "active", f"{node}: {UNITS[0]} after installing again")
    node.sh(f"apt-get -qq -y purge {OURS}", timeout=180)
    after = _tree(node)
    equal(sorted(after - before), [], f"{node}: files that purging has left")
    equal(sorted(before - after), [], f"{node}: files that purging has taken away")
    equal(node.sh("systemctl --failed --no-legend"), "", f"{node}: failed units after purging")


def test(bed):
    """Both releases go through the cycle at once; one upgrade build serves both."""
    repository = copy(bed.repository, "upgrade-repository")
    link = bed.network.link("east")
    bed.outside(bed.network.router("router", link))
    nodes = [bed.node(release, release, link, repository) for release in RELEASES]
    together(Node.start, nodes)
    cycles = [_cycle(node) for node in nodes]
    together(next, cycles)
    next_version(repository, "+upgrade.1")
    together(lambda cycle: list(cycle), cycles)
    run("rm", "-rf", repository)


main(__name__, __file__)
