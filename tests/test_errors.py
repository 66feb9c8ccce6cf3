"""Errors told by the words of others."""

import errno
import os

import pytest

from st_kpi.errors import DiskFull, room_needed


@pytest.mark.parametrize(
    "words",
    [
        f"[Errno 28] {os.strerror(errno.ENOSPC)}: '/spool/1.parquet'",
        f"IO Error: Could not write all bytes: {os.strerror(errno.EDQUOT)}",
        "[WinError 112] There is not enough space on the disk",
    ],
    ids=["full", "quota", "Windows"],
)
def test_a_full_disk_is_known_on_every_system(words: str) -> None:
    with (
        pytest.raises(DiskFull, match="The disk is full: /spool cannot be written"),
        room_needed("/spool"),
    ):
        raise OSError(words)


def test_what_has_another_cause_is_left_as_it_is() -> None:
    """Windows calls what it has no words for an unknown error, a quota among them."""
    with pytest.raises(OSError, match="Unknown error"), room_needed("/spool"):
        raise OSError("Unknown error")
