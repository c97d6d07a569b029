#!/usr/bin/python3
"""A user without rights may read, but neither write records, nor administer, nor open streams."""

from bed.case import check, main

NEEDS = "town"

CALL = "busctl --json=short call net.guifi.Registry1 /net/guifi/Registry1"


def test(town):
    """On both releases."""
    for box in town.boxes[:2]:
        check(box.ok(f"{CALL} net.guifi.Registry1 Describe", user="nobody"), f"{box}: nobody may not read")
        check(box.ok("guifi-browse", user="nobody"), f"{box}: nobody may not browse")
        put = f"{CALL} net.guifi.Registry1.Provider Put sssu service _http._tcp/Evil '{{}}' 0"
        refused = box.run(put, user="nobody", check=False)
        check(refused.returncode != 0, f"{box}: nobody may write records")
        refused = box.run("guifi-leave --yes 2>&1", user="nobody", check=False)
        check(refused.returncode == 77, f"{box}: nobody may leave: status {refused.returncode}\n{refused.stdout}")
        check("guifi-admin" in refused.stdout, f"{box}: no hint about the group guifi-admin:\n{refused.stdout}")
        opened = box.ok("socat -u /dev/null UNIX-CONNECT:/run/guifi/peerd.sock,type=5", user="nobody")
        check(not opened, f"{box}: nobody may open the socket of peerd")


main(__name__, __file__)
