"""The servers of the benchmark, and the programs that it needs."""

import importlib.util
import os
import pathlib
import shutil
import signal
import subprocess
import sys

from bed.host import TOP, Failed, run
from bed.say import say

SERVER_CORE, CLIENT_CORE = 0, 1
PROGRAMS = {"nsd": "nsd", "knotd": "knot", "named": "bind9", "dnsperf": "dnsperf", "dbus-daemon": "dbus-daemon", "dig": "bind9-dnsutils"}


class Programs:
    """Where the programs are: in the system, or in a tree of the run."""

    def __init__(self, work, needed=PROGRAMS):
        self.tree = work / "tree"
        self.path = f"{self.tree}/usr/sbin:{self.tree}/usr/bin:{os.environ['PATH']}:/usr/sbin"
        libraries = [f"{self.tree}/{place}/{os.uname().machine}-linux-gnu" for place in ("usr/lib", "lib")]
        self.environment = os.environ | {"PATH": self.path, "LD_LIBRARY_PATH": ":".join(libraries)}
        missing = [package for program, package in needed.items() if not shutil.which(program, path=self.path)]
        if "dbus-daemon" in needed and not importlib.util.find_spec("dbus_next"):
            missing.append("python3-dbus-next")
        if missing:
            self._fetch(missing, work / "archives")
            sys.path.append(f"{self.tree}/usr/lib/python3/dist-packages")

    def _fetch(self, packages, archives):
        say(f"fetching {' '.join(packages)} for this run")
        (archives / "partial").mkdir(parents=True)
        words = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "--download-only", "-o", f"Dir::Cache::archives={archives}"]
        words += ["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", *packages]
        try:
            run(*words)
        except Failed:
            run("apt-get", "update", "-qq")
            run(*words)
        for archive in archives.glob("*.deb"):
            run("dpkg-deb", "-x", archive, self.tree)

    def start(self, words, core, log, **environment):
        """Starts a program in a group of its own, on one core."""
        with open(log, "w", encoding="utf-8") as output:
            return subprocess.Popen(
                ["taskset", "-c", str(core), *map(str, words)], env=self.environment | environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip


def end(process):
    """Ends a program with all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended by itself
    process.wait()


def group(leader):
    """The processes of a group."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getpgid(int(pid)) == leader:
                yield pid
        except ProcessLookupError:
            pass


def cpu_seconds(leader):
    """CPU time of all threads of a group, to the nanosecond."""
    total = 0
    for pid in group(leader):
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return total / 1e9


def memory(leader):
    """MiB of a group that nobody else has, and its part of what is shared."""
    total = 0
    for pid in group(leader):
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


def nsd(programs, work, zones, port):
    """Starts NSD."""
    config = f"""server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{work}"
  database: ""
  pidfile: ""
  zonelistfile: "{work}/zone.list"
  xfrdfile: "{work}/xfrd.state"
remote-control:
  control-enable: no
"""
    config += "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{file}"\n' for zone, file in zones.items())
    (work / "nsd.conf").write_text(config, encoding="ascii")
    return programs.start(["nsd", "-d", "-c", work / "nsd.conf"], SERVER_CORE, work / "nsd.log")


def knot_head(work, port):
    """The beginning of Knot's configuration: one worker of each kind."""
    return f"""server:
    rundir: {work}
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {work}
"""


def knot(programs, work, zones, port):
    """Starts Knot."""
    config = f"""{knot_head(work, port)}template:
  - id: default
    journal-content: none
    zonefile-sync: -1
zone:
"""
    config += "".join(f"  - domain: {zone}\n    file: {file}\n" for zone, file in zones.items())
    (work / "knot.conf").write_text(config, encoding="ascii")
    return programs.start(["knotd", "-c", work / "knot.conf"], SERVER_CORE, work / "knot.log")


def bind(programs, work, zones, port):
    """Starts BIND, without what only a resolver needs."""
    config = f"""options {{
    directory "{work}";
    pid-file none;
    session-keyfile none;
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    minimal-responses yes;
    notify no;
    dnssec-validation no;
    empty-zones-enable no;
}};
controls {{ }};
"""
    config += "".join(f'zone "{zone}" {{ type primary; file "{file}"; }};\n' for zone, file in zones.items())
    (work / "named.conf").write_text(config, encoding="ascii")
    return programs.start(["named", "-f", "-n", 1, "-c", work / "named.conf"], SERVER_CORE, work / "named.log")


def dnsd(programs, work, address, port, zones=(), root="root", more=""):
    """Starts guifi-dnsd on the bus of the run; with `zones` these are hosted, and nothing is asked of a registry."""
    root = work / root
    for place in ("etc/guifi", "var/lib/guifi/dnsd"):
        (root / place).mkdir(parents=True, exist_ok=True)
    if zones and not (root / "zones").exists():
        (root / "zones").symlink_to(work / "zones")
    config = f"port = {port}\nlisten = ['127.0.0.1']\nworkers = 1\n"
    config += "".join(f"[zones.'{zone}']\nfile = '/zones/{file.name}'\n" for zone, file in dict(zones).items()) + more
    (root / "etc/guifi/dnsd.toml").write_text(config, encoding="ascii")
    bus = f"unix:path={work}/nothing" if zones else address
    return programs.start([built()], SERVER_CORE, root / "log", GUIFI_ROOT=str(root), DBUS_SYSTEM_BUS_ADDRESS=bus)


def built():
    """The daemon in the release profile."""
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "release/guifi-dnsd"
