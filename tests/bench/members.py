"""Members and services of large communities, as a list from which records and expectations are made."""

import json

KIND = "_http._tcp"


def members(count, services, zones):
    """So many boxes with so many services each, in zones z00, z01, …, in turn."""
    return [member(number, f"z{number % zones:02}", services) for number in range(count)]


def member(number, zone, services):
    """A member as tools/registryd/examples/populate.rs reads it."""
    instances = [
        {
            "instance": f"Photos of the summer {number}-{n}",
            "type": KIND,
            "port": 8000 + n,
            "txt": ["path=/album", f"n={n}"],
            "check": "tcp",
            "healthy": True,
        }
        for n in range(services)
    ]
    address = f"10.{number // 62_500 + 128}.{number // 250 % 250}.{number % 250 + 1}"
    return {"name": f"box-{number}", "zone": zone, "addresses": [address], "services": instances}


def lines(listed):
    """The input of populate."""
    return "".join(json.dumps(one) + "\n" for one in listed)
