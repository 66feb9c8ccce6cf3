"""Standard output and error of a command, whatever they lead to: a reader who goes, a full disk, a terminal of another encoding, nothing."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from st_kpi.errors import OutputFailed

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def guard() -> None:
    """Make the streams of this process safe to write to.

    A reader of stdout may go before the end, as ``head`` does, and one of stderr at any time; where results cannot be
    written for another reason, whoever writes or flushes them gets ``OutputFailed``, once. A character that the encoding
    lacks is written as its number.
    """
    _open_what_is_closed()
    sys.stdout = _guarded(sys.stdout, 1)
    sys.stderr = _guarded(sys.stderr, 2)


def _open_what_is_closed() -> None:
    """Else the next file that is opened, the warehouse perhaps, would be taken for standard output."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            # Results for nobody have to fail, so what is opened for them cannot be written.
            nothing = os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
            os.dup2(nothing, number)
            if nothing != number:
                os.close(nothing)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _guarded(stream: TextIO, number: int) -> TextIO:
    if stream.isatty():
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        return stream
    results = number == 1
    return io.TextIOWrapper(
        io.BufferedWriter(_Stream(number, results=results)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=not results,
    )


class _Stream(io.FileIO):
    """A stream that nobody may read any more: what is written then is gone."""

    def __init__(self, number: int, *, results: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._results = results
        self._lost = False

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return memoryview(data).nbytes if self._lost else super().write(data)
        except OSError as error:
            self._lost = True
            # Windows says of a pipe that nobody reads that the argument is invalid.
            unread = isinstance(error, BrokenPipeError) or (
                os.name == "nt" and error.errno == errno.EINVAL
            )
            if self._results and not unread:
                raise OutputFailed(f"The output cannot be written: {error.strerror}.") from None
            return memoryview(data).nbytes
