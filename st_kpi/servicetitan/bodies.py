"""Bodies read with a bound: a small answer may be packed so that it fills the memory."""

import httpx

#: What a body may weigh at most, decompressed, in bytes: far more than any page that is asked for.
MOST_BYTES = 256_000_000
#: The same of what holds no records: tokens, and bodies that tell of an error.
MOST_BYTES_OF_FEW = 1_000_000


class BodyTooLarge(httpx.DecodingError):
    """A body that goes on beyond its ceiling, or is packed in several layers, which nobody can bound."""


async def read(response: httpx.Response, most: int) -> None:
    """Read a streamed response to its ``content``, of ``most`` bytes at most.

    An answer that tells of an error has none where it cannot be read, for its status counts. Raises ``BodyTooLarge``,
    and ``httpx.DecodingError`` for what cannot be unpacked.
    """
    try:
        content = await _bounded(response, most if response.is_success else MOST_BYTES_OF_FEW)
    except httpx.DecodingError:
        if response.is_success:
            raise
        content = b""
    response._content = content  # as ``aread`` leaves it, which knows no bound


async def _bounded(response: httpx.Response, most: int) -> bytes:
    if "," in response.headers.get("Content-Encoding", ""):
        raise BodyTooLarge("the body is compressed more than once", request=response.request)
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most:
            raise BodyTooLarge(
                f"the body is longer than {most:,} bytes, decompressed", request=response.request
            )
        parts.append(part)
    return b"".join(parts)
