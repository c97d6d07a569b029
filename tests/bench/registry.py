"""A registry that only lends its records, over the bus, as net.guifi.Registry1 does."""

import asyncio
import json
import os

from dbus_next.aio import MessageBus
from dbus_next.service import ServiceInterface, method

OWNER = "vic-01"
TIMES = {"written_at": "2026-01-01T00:00:00Z", "seen_at": "2026-01-01T00:00:00Z", "expires_at": "2100-01-01T00:00:00Z"}


def _records(services, text_of):
    for zone, box, address, kind, instance in services:
        common = {"owner": f"key-of-{box}.{zone}", "owner_name": box, "owner_zone": zone, "version": 1, "state": "live", "own": False}
        spine = {"name": box, "zone": zone, "addresses": [address], "port": 7656}
        service = {"instance": instance, "type": kind, "port": 8080, "txt": [text_of(box)]}
        yield {**common, **TIMES, "kind": "box", "name": "box", "body": {"spine": spine}}
        yield {**common, **TIMES, "kind": "service", "name": f"{kind}/{instance}", "body": service}


class Registry(ServiceInterface):
    """The records never change: whoever has them is told that nothing is new."""

    def __init__(self, domain, records):
        super().__init__("net.guifi.Registry1")
        self.domain = domain
        self.records = [(record["kind"], json.dumps(record)) for record in records]

    @method()
    def Describe(self) -> "s":  # noqa: F821, N802
        community = {"id": "bench", "name": self.domain.split(".", maxsplit=1)[0], "domain": self.domain}
        return json.dumps({"joined": True, "community": community, "key": "own", "name": OWNER, "zone": "vic"})

    @method()
    def List(self, kinds: "as", _filter: "a{ss}", epoch: "s", _sequence: "t") -> "stbh":  # noqa: F722, F821, N802
        whole = epoch != "1"
        lines = [line for kind, line in self.records if whole and (not kinds or kind in kinds)]
        file = os.memfd_create("records", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(file, "wb", closefd=False) as out:
            out.write("".join(f"{line}\n" for line in lines).encode())
        return ["1", 1, whole, file]


async def _serve(address, domain, records):
    bus = await MessageBus(bus_address=address, negotiate_unix_fd=True).connect()
    bus.export("/net/guifi/Registry1", Registry(domain, records))
    await bus.request_name("net.guifi.Registry1")
    await bus.wait_for_disconnect()


def serve(address, domain, services, text_of):
    """Serves until the bus ends."""
    asyncio.run(_serve(address, domain, _records(services, text_of)))
