"""The proxies that the environment names: not for this machine itself, and only those that can be spoken to."""

import os
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies

from st_kpi.errors import ConfigurationError

_THIS_MACHINE = ("127.0.0.1", "localhost")


def prepare_proxies() -> None:
    """Whatever goes to this machine, a private Prefect server above all, goes there straight; children inherit it.

    Raises ``ConfigurationError`` for a proxy of a kind with which no client could even be made.
    """
    given = {name for name, url in getproxies().items() if url}
    if not given.isdisjoint({"http", "https", "all"}):
        _spare_this_machine()
    for kind in ("http", "https", "all"):
        _require_usable(kind, getproxies().get(kind, ""))


def _spare_this_machine() -> None:
    around = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if around.strip() != "*":
        hosts = [host.strip() for host in around.split(",") if host.strip()]
        hosts += [host for host in _THIS_MACHINE if host not in hosts]
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)


def _require_usable(kind: str, url: str) -> None:
    scheme = urlsplit(url).scheme if "://" in url else "http"
    if scheme in ("http", "https") or (scheme in ("socks5", "socks5h") and find_spec("socksio")):
        return
    raise ConfigurationError(
        f"{kind.upper()}_PROXY names a proxy of the kind {scheme}://, which cannot be used here: name an HTTP proxy, or"
        f" run this command without it: env -u {kind.upper()}_PROXY -u {kind}_proxy st-kpi ..."
    )
