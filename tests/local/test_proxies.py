"""Proxies of the environment."""

import os
from urllib.request import proxy_bypass

import pytest

from st_kpi.errors import ConfigurationError
from st_kpi.local.proxies import prepare_proxies


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("NO_PROXY", "no_proxy"):  # restored after the test, whoever sets them
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_nothing_goes_to_this_machine_by_a_proxy(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "intranet.test")
    prepare_proxies()
    prepare_proxies()
    assert os.environ["NO_PROXY"] == "intranet.test,127.0.0.1,localhost"
    assert proxy_bypass("127.0.0.1")
    assert proxy_bypass("intranet.test")
    assert not proxy_bypass("api.servicetitan.io")


def test_what_has_no_proxies_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system knows of proxies, a variable would hide them."""
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy")
    prepare_proxies()
    assert "NO_PROXY" not in os.environ
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "*")
    prepare_proxies()
    assert os.environ["NO_PROXY"] == "*"


@pytest.mark.parametrize("kind", ["socks5", "socks5h", "socks4", "ftp"])
def test_a_proxy_that_nothing_speaks_to_is_named_without_its_password(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{kind}://user:hush@127.0.0.1:9")
    with pytest.raises(
        ConfigurationError, match=f"ALL_PROXY names a proxy of the kind {kind}://"
    ) as error:
        prepare_proxies()
    assert "hush" not in str(error.value)


def test_a_proxy_without_a_scheme_is_one_of_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.test:3128")
    prepare_proxies()
    assert proxy_bypass("127.0.0.1")
