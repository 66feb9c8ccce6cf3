"""Writing a file whole or not at all."""

import os
from pathlib import Path

from st_kpi.errors import ConfigurationError


def replace_file(file: Path, content: bytes, mode: int = 0o644) -> None:
    """Write ``file`` anew, and its folder if it is absent; killed half-way, what was there stays.

    A file that is there keeps its mode, and a link stays one. Raises ``ConfigurationError`` where it cannot be written.
    """
    file = file.resolve()
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            mode = file.stat().st_mode & 0o777
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            new.write(content)
            new.flush()
            os.fsync(new.fileno())
        unfinished.chmod(mode)
        unfinished.replace(file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from None
