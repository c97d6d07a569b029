#!/usr/bin/python3
"""The official Tahoe-LAFS client stores, changes, lists, checks and reads on two servers of ours."""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

from bed.case import Failed, Skipped, check, equal, eventually, main, run
from bed.host import CACHE, need

NEEDS = "host"
TIMEOUT = 600

VERSION = "1.20.0"
SIZES = (0, 55, 56, (1 << 20) - 1, 1 << 20, (10 << 20) + 7)


def test(tools):
    """Two servers, and a client that wants one of two shares."""
    tahoe = _official()
    with tempfile.TemporaryDirectory(prefix="guifi-storaged-tahoe-") as name, contextlib.ExitStack() as stack:
        work = pathlib.Path(name)
        program = _program(tools, work)
        servers = [_Server(program, work / letter, stack) for letter in "ab"]
        client = _Client(tahoe, work / "client", servers, stack)
        _files(client)
        _directory(client)
        _commands(client, work)
        _one_is_enough(client, servers)


def _official():
    """The official program, in an environment of its own that is kept."""
    home = CACHE / f"tahoe-lafs-{VERSION}"
    tahoe = home / "bin/tahoe"
    if not tahoe.exists():
        need("python3-venv")
        shutil.rmtree(home, ignore_errors=True)
        try:
            run("python3", "-m", "venv", home)
            run(home / "bin/pip", "install", "--quiet", f"tahoe-lafs=={VERSION}", timeout=400)
        except (Failed, subprocess.TimeoutExpired) as error:
            shutil.rmtree(home, ignore_errors=True)
            last = str(error).strip().splitlines()[-1]
            raise Skipped(f"tahoe-lafs {VERSION} cannot be installed: {last}") from error
    return tahoe


def _program(tools, work):
    """The daemon, as built (GUIFI_BINARIES) or out of its package."""
    if "GUIFI_BINARIES" in os.environ:
        return pathlib.Path(os.environ["GUIFI_BINARIES"]) / "guifi-storaged"
    package = max(tools.repository.glob("pool/guifi/*/guifi-storaged_*.deb"))
    run("dpkg-deb", "-x", package, work / "package")
    return work / "package/usr/sbin/guifi-storaged"


def _port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _end(process):
    process.terminate()
    process.wait(30)


class _Server:
    """A storage server in no community."""

    def __init__(self, program, root, stack):
        self.root, self.port = root, _port()
        (root / "etc/guifi").mkdir(parents=True)
        settings = f'standalone = true\nlisten = ["127.0.0.1"]\nport = {self.port}\nreserved = 0\n'
        (root / "etc/guifi/storaged.toml").write_text(settings, encoding="ascii")
        environment = os.environ | {"GUIFI_ROOT": str(root), "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus"}
        self.process = subprocess.Popen([program], env=environment, stderr=subprocess.DEVNULL)
        stack.callback(_end, self.process)
        eventually("the server listens", self._listens, 30)

    def _listens(self):
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", self.port)) == 0

    def entry(self):
        """Its lines of servers.yaml."""
        keys = json.loads((self.root / "var/lib/guifi/storaged/keys.json").read_text(encoding="ascii"))
        text = ["openssl", "x509", "-inform", "DER", "-pubkey", "-noout"]
        public = subprocess.run(text, input=base64.b64decode(keys["certificate"]), capture_output=True, check=True).stdout
        binary = ["openssl", "pkey", "-pubin", "-outform", "DER"]
        public = subprocess.run(binary, input=public, capture_output=True, check=True).stdout
        digest = hashlib.sha256(public).digest()
        mark = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        name = base64.b32encode(digest).decode().lower().rstrip("=")
        place = f"127.0.0.1:{self.port}/{keys['swissnum']}"
        return f"""  v0-{name}:
    ann:
      nickname: "{self.root.name}"
      anonymous-storage-FURL: "pb://{keys['tubid']}@tcp:{place}"
      anonymous-storage-NURLs:
        - "pb://{mark}@{place}#v=1"
"""

    def shares(self):
        """How many it has."""
        return sum(1 for path in (self.root / "var/lib/guifi/storaged/shares").rglob("*") if path.is_file())


class _Client:
    """The official client, by its web interface and its commands."""

    def __init__(self, tahoe, home, servers, stack):
        self.tahoe, self.home, self.port = tahoe, home, _port()
        run(
            tahoe, "create-client", "--shares-needed=1", "--shares-happy=2", "--shares-total=2",
            f"--webport=tcp:{self.port}:interface=127.0.0.1", home,
        )  # fmt: skip
        (home / "private/introducers.yaml").unlink(missing_ok=True)
        text = "storage:\n" + "".join(server.entry() for server in servers)
        (home / "private/servers.yaml").write_text(text, encoding="ascii")
        words = [tahoe, "run", "--allow-stdin-close", home]
        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        stack.callback(_end, subprocess.Popen(words, **silent))
        eventually("the client has both servers", lambda: self.connected() == 2, 60)

    def connected(self):
        """How many servers it is connected with."""
        try:
            servers = json.loads(self.ask("GET", "/?t=json"))["servers"]
        except (OSError, ValueError):
            return 0
        return sum(server["connection_status"] == "connected" for server in servers)

    def ask(self, method, path, body=None):
        """One request; returns the body of its answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Failed(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from error

    def healthy(self, cap):
        """Fails unless every share is there and right; leases are renewed by the way."""
        words = "t=check&verify=true&add-lease=true&output=JSON"
        found = json.loads(self.ask("POST", f"/uri/{cap}?{words}"))
        check(found["results"]["healthy"], f"{cap}: {found}")

    def command(self, *words):
        """One command; returns what it prints."""
        return run(self.tahoe, "-d", self.home, *words)


def _files(client):
    for size in SIZES:
        content = os.urandom(size)
        cap = client.ask("PUT", "/uri", content).decode()
        check(client.ask("GET", f"/uri/{cap}") == content, f"{size} bytes come back as others")
        client.healthy(cap)
    for form in ("sdmf", "mdmf"):
        cap = client.ask("PUT", f"/uri?format={form}", b"first" * 50_000).decode()
        client.ask("PUT", f"/uri/{cap}", b"second" * 40_000)
        check(client.ask("GET", f"/uri/{cap}") == b"second" * 40_000, f"a changed file ({form}) comes back as another")
        client.healthy(cap)


def _directory(client):
    cap = client.ask("POST", "/uri?t=mkdir").decode()

    def names():
        return sorted(json.loads(client.ask("GET", f"/uri/{cap}?t=json"))[1]["children"])

    for number in range(5):
        client.ask("PUT", f"/uri/{cap}/file{number}", b"x" * 100 * number)
    equal(names(), [f"file{number}" for number in range(5)], "names in the directory")
    client.ask("DELETE", f"/uri/{cap}/file3")
    equal(names(), ["file0", "file1", "file2", "file4"], "names after one was unlinked")
    client.healthy(cap)


def _commands(client, work):
    file = work / "file"
    file.write_bytes(os.urandom(100_000))
    client.command("create-alias", "home")
    client.command("put", file, "home:file")
    equal(client.command("ls", "home:"), "file", "what is in the directory")
    client.command("get", "home:file", work / "again")
    check((work / "again").read_bytes() == file.read_bytes(), "the file comes back as another")
    check("Healthy" in client.command("check", "--verify", "home:file"), "the file is not healthy")


def _one_is_enough(client, servers):
    content = os.urandom(200_000)
    cap = client.ask("PUT", "/uri", content).decode()
    counts = [server.shares() for server in servers]
    equal(counts[0], counts[1], "shares of the two servers")
    _end(servers[0].process)
    check(client.ask("GET", f"/uri/{cap}") == content, "one of two servers is not enough")


main(__name__, __file__)
