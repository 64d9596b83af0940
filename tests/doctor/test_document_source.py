"""Reading a document: a file or an address over HTTP, within bounds, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connecttrade_async import ConfigurationError
from connecttrade_async.doctor.document_source import read_document
from scripted_server import ScriptedEnd, answer, drop, raw, stalled

if TYPE_CHECKING:
    from pathlib import Path


async def refusal(source: str, **bounds: float) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await read_document(source, **bounds)  # type: ignore[arg-type]
    return str(caught.value)


async def test_read_document_reads_a_file_and_an_address(tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    path.write_bytes(b"{}")
    assert await read_document(str(path)) == b"{}"
    async with ScriptedEnd(answer(302, b"", location="/moved"), answer(200, b'{"openapi": "3.0.0"}')) as end:
        assert await read_document(f"{end.url}/old") == b'{"openapi": "3.0.0"}'
        assert [seen.target for seen in end.seen] == ["/old", "/moved"]
        assert not any(name.startswith(("client", "user-id", "cookie")) for name in end.seen[0].headers)


@pytest.mark.parametrize("source", ["ftp://host/x", "file:///etc/hosts", "data://x", "gopher://x"])
async def test_read_document_refuses_another_scheme(source: str) -> None:
    assert "must be a file or an http or https address" in await refusal(source)


@pytest.mark.parametrize("location", ["file:///etc/hosts", "ftp://127.0.0.1/x"])
async def test_read_document_follows_no_redirect_to_another_scheme(location: str) -> None:
    async with ScriptedEnd(answer(302, b"", location=location)) as end:
        assert "cannot be read" in await refusal(end.url)


async def test_read_document_reports_what_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in await refusal(str(tmp_path / "missing"))
    for act in (drop, raw(b"no HTTP at all\r\n\r\n")):
        async with ScriptedEnd(act) as end:
            assert "cannot be read" in await refusal(end.url)
    async with ScriptedEnd(answer(404, b"")) as end:
        assert "the server answered 404" in await refusal(end.url)
    assert "cannot be read" in await refusal("http://[x/")


async def test_read_document_bounds_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(200_000))
    assert "at most 100,000 bytes" in await refusal(str(path), max_bytes=100_000)
    async with ScriptedEnd(stalled(b"{", declared=500)) as end:
        assert "cannot be read" in await refusal(end.url, timeout=0.05)
    async with ScriptedEnd(answer(200, bytes(200_000))) as end:
        assert "at most 100,000 bytes" in await refusal(end.url, max_bytes=100_000)


async def test_read_document_bounds_the_time_of_a_slow_source(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10))
    assert "must arrive within" in await refusal(str(path), timeout=-1.0)
