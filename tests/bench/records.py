"""What the servers of the benchmark hold, and what they are asked."""

import random

DOMAIN = "osona.internal"
ZONES, BOXES = 200, 100
TYPES = [f"_{name}._tcp" for name in "http ssh ipp sftp-ssh rfb webdav mqtt xmpp-client git imap".split()]
SHARES = {"A": 40, "SRV": 20, "TXT": 20, "PTR": 15, "missing": 5}
KINDS = ["mix", *SHARES]
QUESTIONS = 20_000


def services():
    """Zone, box, address, type and instance of each."""
    for zone in range(ZONES):
        for box in range(BOXES):
            kind = TYPES[box % len(TYPES)]
            yield f"z{zone:03}", f"box-{box:02}", f"10.{zone + 1}.0.{box + 1}", kind, f"Service-of-box-{box:02}"  # dnsperf reads no escapes


def text_of(box):
    """The one string of a TXT record."""
    return f"path=/{box}"


def questions(kind):
    """Lines for dnsperf, the same in every run."""
    chance = random.Random(f"guifi {kind}")
    if kind == "mix":
        lines = [line for part, share in SHARES.items() for line in questions(part)[: QUESTIONS * share // 100]]
    else:
        lines = []
        for zone, box, _, service, instance in services():
            name = {"A": box, "PTR": service, "missing": f"no-{box}-{chance.randrange(1000)}"}.get(kind, f"{instance}.{service}")
            lines.append(f"{name}.{zone}.{DOMAIN} {'A' if kind == 'missing' else kind}")
    chance.shuffle(lines)
    return lines[:QUESTIONS]


def zone_files(work):
    """The records as zone files; returns the zones with their files."""
    lines = {}
    for zone, box, address, kind, instance in services():
        name = f"{instance}.{kind}"
        lines.setdefault(zone, []).extend((
            f"{box} A {address}", f"{kind} PTR {name}", f"{name} SRV 0 0 8080 {box}", f'{name} TXT "{text_of(box)}"',
        ))  # fmt: skip
    (work / "zones").mkdir()
    for zone, records in lines.items():
        head = f"$ORIGIN {zone}.{DOMAIN}.\n$TTL 120\n@ SOA box-00 admin 1 7200 3600 86400 60\n@ NS box-00\n"
        (work / "zones" / zone).write_text(head + "\n".join(records) + "\n", encoding="ascii")
    return {f"{zone}.{DOMAIN}": work / "zones" / zone for zone in lines}
