"""The image, built as the ``Dockerfile`` says and run, on a base made of Debian's own packages: minutes, and root."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BASE = """\
FROM scratch
COPY debian/ /
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
"""
WITHIN = 900

Buildah = Callable[..., str]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("building an image here needs root")
    subprocess.run([ROOT / "scripts/debian", "buildah", "debootstrap"], check=True)
    with tempfile.TemporaryDirectory(prefix="st-kpi-image-") as found:
        yield Path(found)


@pytest.fixture(scope="module")
def buildah(folder: Path) -> Buildah:
    """Runs a command of buildah, which needs no daemon, and keeps what it makes in the folder."""
    kept = ["--root", str(folder / "images"), "--runroot", str(folder / "run")]

    def run(*arguments: str | Path) -> str:
        command = ["buildah", *kept, "--storage-driver", "vfs", *map(str, arguments)]
        environment = os.environ | {"BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=WITHIN
        )
        assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-5_000:]
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def container(folder: Path, buildah: Buildah) -> str:
    """A container of the image; its base has the name that the ``Dockerfile`` asks for."""
    debian = folder / "debian"
    packages = "--include=python3,python3-venv,ca-certificates"
    subprocess.run(
        ["debootstrap", "--variant=minbase", packages, "bookworm", debian],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=WITHIN,
    )
    (debian / "usr/bin/python").symlink_to("python3")
    certificates = "etc/ssl/certs/ca-certificates.crt"
    shutil.copy(Path("/") / certificates, debian / certificates)
    (folder / "Base").write_text(BASE)
    name = "docker.io/library/python:3.11-slim"
    buildah("bud", "--network", "host", "-f", folder / "Base", "-t", name, folder)
    shutil.rmtree(debian)
    buildah("bud", "--network", "host", "--pull-never", "-t", "st-kpi", ROOT)
    return buildah("from", "--pull-never", "localhost/st-kpi").strip()


def test_the_demo_is_right_in_the_image(container: str, buildah: Buildah) -> None:
    """All of the product, by a user without rights, with nothing but what the image has."""
    said = buildah("run", "--network", "host", container, "--", "st-kpi", "demo", "--scale", "0.01")
    assert "equal to the cent" in said


def test_its_worker_is_there(container: str, buildah: Buildah) -> None:
    said = buildah("run", container, "--", "sh", "-c", "id -u; prefect worker start --help")
    assert said.startswith("10001\n")
    assert "--pool" in said
