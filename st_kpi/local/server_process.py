"""The process of a private Prefect server: Prefect's own app on a port, over a database in memory that is there at once.

Migrating an empty database takes Prefect longer than all else. So the first server of a version of Prefect keeps what it has
migrated, a megabyte or two in the user's cache folder, and the next one copies it into memory. A copy that cannot be
kept, or read, costs the time and nothing else.
"""

import asyncio
import hashlib
import importlib
import os
import sqlite3
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from st_kpi.local.process import collecting_later

#: As sqlite knows the database; it exists for as long as this process has a connection to it.
_SHARED = "file::memory:?cache=shared"
#: As Prefect has to be told of it.
DATABASE = f"sqlite+aiosqlite:///{_SHARED}&uri=true&check_same_thread=false"


def main() -> None:
    """Serve on the port that is the only argument until the process is ended; the environment has Prefect's settings."""
    port = int(sys.argv[1])
    with collecting_later():
        importlib.import_module("prefect.server.api.server")
    with closing(_prepared(_cache_file())):
        _serve(port)


def _prepared(file: Path | None) -> sqlite3.Connection:
    """The database with all tables and block types, from ``file`` where that has them."""
    database = _copy_of(file) if file else None
    if database is None:
        database = sqlite3.connect(_SHARED, uri=True)
        asyncio.run(_migrate())
        if file:
            _keep(database, file)
    return database


def _cache_file() -> Path | None:
    """Where the migrated database is kept: by what its content follows from; None where the user has no home."""
    import prefect
    from prefect.server import database, models

    told = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(told) if os.path.isabs(told) else Path.home() / ".cache"
    except RuntimeError:
        return None
    migrations = Path(database.__file__).parent / "_migrations" / "versions" / "sqlite"
    blocks = Path(models.__file__).with_name("block_registration.py")
    names = [prefect.__version__, sqlite3.sqlite_version, blocks.stat().st_size]
    names += sorted(file.name for file in migrations.glob("*.py"))
    digest = hashlib.sha256(repr(names).encode()).hexdigest()[:16]
    return folder / "st-kpi" / f"prefect-{prefect.__version__}-{digest}.sqlite"


def _copy_of(file: Path) -> sqlite3.Connection | None:
    """The database in memory with the content of ``file``; None where that is absent or broken."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as kept:
            (verdict,) = kept.execute("PRAGMA quick_check").fetchone()
            revisions = kept.execute("SELECT version_num FROM alembic_version").fetchall()
            if verdict != "ok" or len(revisions) != 1:
                return None
            database = sqlite3.connect(_SHARED, uri=True)
            try:
                kept.backup(database)
            except sqlite3.Error:
                database.close()
                raise
            return database
    except sqlite3.Error:
        return None


def _keep(database: sqlite3.Connection, file: Path) -> None:
    """Write the database to ``file``, whole or not at all: another server may be reading it, or writing it too."""
    with suppress(OSError, sqlite3.Error):  # the next server migrates as well
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            unfinished = Path(folder) / file.name
            with closing(sqlite3.connect(unfinished)) as copy:
                database.backup(copy)
            unfinished.replace(file)


async def _migrate() -> None:
    """All that Prefect's own start would do to an empty database."""
    from prefect.server.database import provide_database_interface
    from prefect.server.models.block_registration import run_block_auto_registration

    interface = provide_database_interface()
    await interface.create_db()
    async with await interface.session() as session:
        await run_block_auto_registration(session=session)


def _serve(port: int) -> None:
    """What ``prefect server start --no-services`` does, with a database that needs nothing and without pages for a browser."""
    import uvicorn
    from prefect import settings
    from prefect.server.api.server import create_app

    done = {
        settings.PREFECT_API_DATABASE_MIGRATE_ON_START: False,
        settings.PREFECT_API_BLOCKS_REGISTER_ON_START: False,
        settings.PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION: False,  # imports every collection
        settings.PREFECT_UI_ENABLED: False,
    }
    with settings.temporary_settings(done):
        uvicorn.run(
            create_app(final=True, webserver_only=True),
            host="127.0.0.1",
            port=port,
            timeout_keep_alive=settings.PREFECT_SERVER_API_KEEPALIVE_TIMEOUT.value(),
            ws_ping_interval=settings.PREFECT_SERVER_API_WEBSOCKET_PING_INTERVAL.value(),
            ws_ping_timeout=settings.PREFECT_SERVER_API_WEBSOCKET_PING_TIMEOUT.value(),
            log_level="warning",
        )


if __name__ == "__main__":
    main()
