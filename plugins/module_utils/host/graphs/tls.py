# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of their lives the certificates have left that this host serves: tls_life.

It shakes hands with each port, so that it sees what clients see, and not a file. The environment, from plugin-conf.d:

  ports    what is asked, as 5222:jabber:client 443: a port, and the namespace of an XMPP stream with STARTTLS
  name     the name that is asked for
  address  where (default 127.0.0.1)
  warning, critical  percent of the life (default 15 and 8): a certificate may be valid for a year or for a day
"""

from __future__ import annotations

import sys

from .munin import Family, Field, Graph, Unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .munin import Environment, Values


def ports(environment: Environment) -> list[tuple[int, str]]:
    """Return each port with the namespace of its streams, or an empty one."""
    items = (item.partition(":") for item in environment.get("ports", "443").split())
    return [(int(number), namespace) for number, _, namespace in items]


def left(environment: Environment, port: int, namespace: str) -> float:
    """Return the percentage of its life that the certificate of a port has left. Raises Unknown."""
    import datetime
    import ssl

    from .. import tls, x509

    name, address = environment.get("name", "localhost"), environment.get("address", "127.0.0.1")
    try:
        # Its time is asked for, and not whether somebody vouches for it.
        with tls.connected(address, port, name, tls.trusting(), namespace or None, seconds=10) as encrypted:
            certificate = x509.look(ssl.DER_cert_to_PEM_cert(tls.presented(encrypted)))
    except (tls.TlsError, x509.X509Error) as error:
        raise Unknown(str(error)) from error
    return round(certificate.percent_left(datetime.datetime.now(datetime.UTC)), 2)


def life(environment: Environment) -> Values:
    values = {}
    for port, namespace in ports(environment):
        try:
            values[f"port{port}"] = left(environment, port, namespace)
        except (OSError, Unknown) as error:
            print(f"port {port}: {error}", file=sys.stderr)
    return values


def fields(environment: Environment) -> list[Field]:
    levels = {"warning": f"{environment.get('warning', '15')}:", "critical": f"{environment.get('critical', '8')}:"}
    return [Field(f"port{port}", f"port {port}", min=None, **levels) for port, _namespace in ports(environment)]


FAMILY = Family(
    {
        "life": Graph(
            title="Certificates",
            args="--base 1000 --lower-limit 0 --upper-limit 100",
            vlabel="% of the life left",
            info="How much of its life the certificate has left that each port serves.",
            category="security",
            fields=fields,
            values=life,
        ),
    }
)
