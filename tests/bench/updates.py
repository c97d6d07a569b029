"""Signed updates (RFC 2136, RFC 8945), clients that send them, and servers that take them."""

import base64
import hashlib
import hmac
import itertools
import select
import socket
import struct
import time

from bed.host import Failed, run
from servers import SERVER_CORE, built, cpu_seconds, knot_head

ZONE = "dyn.example"
SECRET = bytes(range(32))
KEY = f'key "k" {{ algorithm hmac-sha256; secret "{base64.b64encode(SECRET).decode()}"; }};\n'
A, SOA, TXT, TSIG, ANY = 1, 6, 16, 250, 255
IN = 1
HOSTS = 20_000
# How long a client waits before it sends an update again, as nsupdate does.
PATIENCE = 3


def wire(name):
    """A name as it is sent."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


_ZONE = wire(ZONE)
_KEY = wire("k")
_ALGORITHM = wire("hmac-sha256")


def _record(label, kind, klass, ttl, data=b""):
    """A record whose owner is `label` in the zone, which stands behind the header."""
    return bytes([len(label)]) + label.encode() + struct.pack("!HHHIH", 0xC00C, kind, klass, ttl, len(data)) + data


def host(number):
    """The label of a host."""
    return f"host-{number}"


def update(number, host_number, address):
    """The update `number`: a host gets another address and another text, as from a DHCP server."""
    label, text = host(host_number), f"update {number}".encode()
    body = _ZONE + struct.pack("!HH", SOA, IN) + _record(label, ANY, ANY, 0) + _record(label, A, IN, 60, address)
    body += _record(label, TXT, IN, 60, bytes([len(text)]) + text)
    identity = number & 0xFFFF
    message = struct.pack("!HHHHHH", identity, 5 << 11, 1, 0, 3, 0) + body
    times = int(time.time()).to_bytes(6, "big") + struct.pack("!H", 300)
    variables = _KEY + struct.pack("!HI", ANY, 0) + _ALGORITHM + times + struct.pack("!HH", 0, 0)
    mac = hmac.new(SECRET, message + variables, hashlib.sha256).digest()
    data = _ALGORITHM + times + struct.pack("!H", len(mac)) + mac + struct.pack("!HHH", identity, 0, 0)
    record = _KEY + struct.pack("!HHIH", TSIG, ANY, 0, len(data)) + data
    return message[:10] + struct.pack("!H", 1) + body + record


class Clients:
    """Clients that each wait for the answer to one update before they send the next."""

    def __init__(self, port, count, hosts):
        self.port, self.count, self.hosts = port, count, hosts
        self.numbers = itertools.count(1)
        self.acknowledged = {}
        self.done = 0

    def run(self, seconds):
        """Updates a second."""
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(self.count)]
        epoll, sent = select.epoll(), {}
        mine = [itertools.cycle(range(client, self.hosts, self.count)) for client in range(self.count)]
        for client, one in enumerate(sockets):
            one.connect(("127.0.0.1", self.port))
            one.setblocking(False)
            epoll.register(one.fileno(), select.EPOLLIN)
        clients = {one.fileno(): client for client, one in enumerate(sockets)}

        def send(client):
            number, owner = next(self.numbers), next(mine[client])
            address = struct.pack("!I", 0x0A000000 + number)
            message = update(number, owner, address)
            sent[client] = (message, owner, address, time.monotonic())
            sockets[client].send(message)

        begin = time.monotonic()
        end = begin + seconds
        for client in range(self.count):
            send(client)
        while sent:
            for descriptor, _ in epoll.poll(1):
                client = clients[descriptor]
                answer = sockets[client].recv(4096)
                message, owner, address, _ = sent[client]
                if answer[:2] != message[:2]:
                    continue  # to what was sent twice
                if answer[3] & 0xF:
                    raise Failed(f"an update has the answer {answer[3] & 0xF}")
                self.acknowledged[owner] = address
                self.done += 1
                if time.monotonic() < end:
                    send(client)
                else:
                    del sent[client]
            now = time.monotonic()
            for client, (message, owner, address, at) in list(sent.items()):
                if now > at + PATIENCE:
                    sent[client] = (message, owner, address, now)
                    sockets[client].send(message)
            if now > end + 60:
                raise Failed("an update has no answer")
        for one in sockets:
            one.close()
        epoll.close()
        return self.done / (time.monotonic() - begin)

    def lost(self):
        """How many of the acknowledged updates a server does not have."""
        return sum(_address(self.port, owner) != address for owner, address in self.acknowledged.items())


def _address(port, owner):
    """The address of a host, as octets."""
    query = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + wire(f"{host(owner)}.{ZONE}") + struct.pack("!HH", A, IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(5)
        one.sendto(query, ("127.0.0.1", port))
        answer = one.recv(4096)
    # The record has a pointer for its owner.
    return answer[len(query) + 12 : len(query) + 16] if answer[7] else None


def zone_file(path, hosts, serial=1):
    """A zone of so many hosts with an address and a text."""
    lines = [f"$ORIGIN {ZONE}.", "$TTL 60", f"@ SOA ns admin {serial} 7200 3600 86400 60", "@ NS ns", "ns A 127.0.0.1"]
    for number in range(hosts):
        lines += [f"{host(number)} A 172.16.{number >> 8 & 255}.{number & 255}", f'{host(number)} TXT "host"']
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def bind(programs, work, port):
    """Starts BIND."""
    config = f"""{KEY}
options {{ directory "{work}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;
  session-keyfile none; recursion no; notify no; lock-file none; }};
controls {{ }};
logging {{ category update {{ null; }}; category update-security {{ null; }}; }};
zone "{ZONE}" {{ type primary; file "{work}/zone"; allow-update {{ key k; }}; }};
"""
    (work / "named.conf").write_text(config, encoding="ascii")
    return programs.start(["named", "-f", "-n", 1, "-c", work / "named.conf"], SERVER_CORE, work / "named.log")


def knot(programs, work, port):
    """Starts Knot."""
    config = f"""{knot_head(work, port)}key:
  - id: k
    algorithm: hmac-sha256
    secret: {base64.b64encode(SECRET).decode()}
acl:
  - id: update
    key: k
    action: update
zone:
  - domain: {ZONE}
    file: {work}/zone
    zonefile-sync: -1
    zonefile-load: difference
    journal-content: all
    acl: update
"""
    (work / "knot.conf").write_text(config, encoding="ascii")
    return programs.start(["knotd", "-c", work / "knot.conf"], SERVER_CORE, work / "knot.log")


def write_key(path):
    """The key as guifi-dnsd keeps it."""
    secret = base64.b64encode(SECRET).decode()
    path.write_text(f'{{"k": {{"algorithm": "hmac-sha256", "secret": "{secret}", "update": ["{ZONE}"]}}}}', encoding="ascii")


def dnsd(programs, work, port):
    """Starts guifi-dnsd, which needs no bus for this."""
    kept = work / "root/var/lib/guifi/dnsd/keys.json"
    if not kept.exists():
        for place in ("etc/guifi", "var/lib/guifi/dnsd"):
            (work / "root" / place).mkdir(parents=True)
        (work / "root/zone").write_bytes((work / "zone").read_bytes())
        config = f"port = {port}\nlisten = ['127.0.0.1']\nworkers = 1\n[zones.'{ZONE}']\nfile = '/zone'\n"
        (work / "root/etc/guifi/dnsd.toml").write_text(config, encoding="ascii")
        write_key(kept)
    environment = {"GUIFI_ROOT": str(work / "root"), "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={work}/none"}
    return programs.start([built()], SERVER_CORE, work / "dnsd.log", **environment)


SERVERS = {"guifi-dnsd": dnsd, "BIND": bind, "Knot": knot}


def answers(programs, port):
    """Whether a server has the zone."""
    words = ["dig", "@127.0.0.1", "-p", port, "+short", "+time=1", "+tries=1", f"ns.{ZONE}"]
    return run(*words, env=programs.environment, check=False).strip() == "127.0.0.1"


def measure(server, port, count, hosts, seconds):
    """The clients, updates a second, and CPU milliseconds an update."""
    clients = Clients(port, count, hosts)
    before = cpu_seconds(server.pid)
    rate = clients.run(seconds)
    return clients, rate, 1000 * (cpu_seconds(server.pid) - before) / clients.done
