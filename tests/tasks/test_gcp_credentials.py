"""Google credentials out of a block of a real Prefect server."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prefect_gcp import GcpCredentials

from st_kpi.errors import ConfigurationError
from st_kpi.settings import load_settings
from tasks.gcp_credentials import google_credentials

EMAIL = "loader@made-up.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    """A service account's key that no service knows."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        "type": "service_account",
        "project_id": "made-up",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": EMAIL,
        "client_id": "1",
        "token_uri": "http://127.0.0.1:9/token",
    }


async def test_a_block_is_used_where_the_settings_name_one(
    prefect_server: str, key: dict[str, str]
) -> None:
    await GcpCredentials(service_account_info=key).asave("warehouse", overwrite=True)  # type: ignore[arg-type]
    found = await google_credentials(load_settings(gcp_credentials="warehouse"))
    assert found.service_account_email == EMAIL
    assert await google_credentials(load_settings()) is None


async def test_a_block_that_is_not_there_is_named(prefect_server: str) -> None:
    with pytest.raises(ConfigurationError, match=r"'absent'.*save it there"):
        await google_credentials(load_settings(gcp_credentials="absent"))
