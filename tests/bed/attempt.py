"""`repo/try`: a community of boxes on this machine, to look at and to play with."""

import argparse
import os
import pathlib
import signal
import sys
import tempfile

from .bed import OUTSIDE, eventually, sweep, teardown
from .host import STATE, TOP, Failed, need_bed
from .packages import build
from .say import elapsed, say, warn
from .town import COMMUNITY, DOMAIN, Town, diagnose

TAG = os.environ.get("GUIFI_TRY_TAG", "try")
PAGE = "<h1>Hello from Vic</h1>\n"
NAME = "Photos of Vic"


def _show(box, words, expected, deadline=30):
    """Runs a command until its answer holds what is expected, then shows it."""
    done, took = eventually(f"{box}: {words}: {expected!r}", lambda: _holds(box, words, expected), deadline)
    say(f"{box}$ {words}" + (f"   (after {took:.1f} s)" if took > 1 else ""))
    for line in done.splitlines()[:12]:
        print(f"            {line}", flush=True)


def _holds(box, words, expected):
    output = box.run(f"{words} 2>&1", check=False).stdout
    if expected not in output:
        raise Failed(output[-500:] or "no output")
    return output


def _tour(town):
    publisher = town.boxes[0]
    say(f"{publisher}: a web server (lighttpd) serves a page; guifi-publish tells the community")
    town.page(publisher, PAGE)
    say(f"{publisher}# guifi-publish --global '{NAME}' _http._tcp 80 path=/")
    town.publish(publisher, NAME, "_http._tcp", 80, "path=/")
    host, zone = town.host(publisher), town.zone(publisher)
    for box in town.others(publisher):
        _show(box, "guifi-browse _http._tcp", NAME)
    far = town.boxes[-1]
    say(f"the same from {far}, behind the NAT, by programs that know nothing of us")
    _show(far, f"dig +noall +answer _http._tcp.{zone} PTR", "Photos")
    _show(far, f"dig +short {host} A", publisher.address)
    _show(far, f"avahi-browse -rt -d {zone} _http._tcp", NAME)
    _show(far, f"curl -s http://{host}/", PAGE.strip())
    _show(far, "curl -s http://www.outside.test/", "outside")


def _goodbye(town):
    first, far = town.boxes[0], town.boxes[-1]
    say(f"done. {len(town.boxes)} boxes of the community {COMMUNITY} ({DOMAIN}) are running; try:")
    print(f"""
    sudo repo/try --shell {far}        a shell in a box; there:
        guifi-status                       how the box is
        guifi-browse                       what the community offers
        guifi-peer list                    the connections of the box
        guifi-publish --global 'My page' _http._tcp 80
        dig @{first.address} _http._tcp.{town.zone(first)} PTR
        curl http://{town.host(first)}/
    sudo repo/try --down               removes everything

    {"box":10} {"Debian":10} {"zone":6} address""")
    for box in town.boxes:
        nat = "   behind a NAT" if box is far else ""
        print(f"    {box.name:10} {box.release:10} {town.zones[box.name]:6} {box.address}{nat}")
    print(f"    {'router':10} {'':10} {'':6} {first.bed.resolver}   with a web page outside, {OUTSIDE}", flush=True)


def _up(boxes):
    town = None
    try:
        need_bed()
        repository = build("try-repository")
        say(f"making the links: two with a router between, one behind a NAT; {boxes + 1} boxes")
        town = Town(repository, TAG, boxes)
        town.boot()
        town.install()
        say(f"founding the community {COMMUNITY}, and joining it")
        town.join(show=True)
        _tour(town)
        _goodbye(town)
    except Failed as error:
        if town:
            log = pathlib.Path(tempfile.mkdtemp(prefix="guifi-try-")) / "boxes.log"
            log.write_text(diagnose(town), encoding="utf-8")
            warn(f"repo/try: what the boxes say: {log}")
        teardown(TAG)
        warn(f"repo/try: {error}")
        return 1
    except BaseException:
        say("stopped: removing everything")
        teardown(TAG)
        raise
    return 0


def _shell(name):
    directory = STATE / TAG
    if not (directory / name / "config").exists():
        known = sorted(config.parent.name for config in directory.glob("*/config"))
        warn(f"repo/try: no box {name} is running; there are: {', '.join(known) or 'none'}")
        return 1
    os.execvp("lxc-attach", [
        "lxc-attach", "-P", str(directory), "-n", name, "--clear-env", "-v", "HOME=/root",
        "-v", f"TERM={os.environ.get('TERM', 'dumb')}", "-v", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "--", "bash", "-l",
    ])  # fmt: skip


def main():
    """Command line of repo/try."""
    parser = argparse.ArgumentParser(
        prog="repo/try", description="Boots a community of boxes on this machine and shows what it does."
    )
    parser.add_argument("--boxes", type=int, default=3, metavar="N", help="boxes on the two links (3); one more is behind a NAT")
    parser.add_argument("--down", action="store_true", help="remove everything")
    parser.add_argument("--shell", metavar="BOX", help="a shell in a running box")
    options = parser.parse_args()
    if not 1 <= options.boxes <= 40:
        parser.error("N is 1 to 40")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.shell:
        return _shell(options.shell)
    if options.down:
        teardown(TAG)
        say("everything is removed (root file systems stay cached in /var/cache/guifi-bed)")
        return 0
    sweep()
    status = _up(options.boxes)
    say(f"took {elapsed():.0f} s")
    return status


if __name__ == "__main__":
    os.chdir(TOP)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
