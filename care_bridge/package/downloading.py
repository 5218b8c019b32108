"""Files that a package's description names by a web address, fetched when the user allows it.

Only https, only with the hash that the description gives, only up to a size; kept in the user's
cache folder under that hash.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from platformdirs import user_cache_path

from care_bridge.atomic import replacing
from care_bridge.errors import PackageError, PackageIntegrityError
from care_bridge.package.archive import LARGEST_FILE, check_digest
from care_bridge.package.printable import shown

_SECONDS = 30
_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def fetched_file(address: str, sha256: str | None, package: Path, most: int = LARGEST_FILE) -> Path:
    """The file at an address that the description of a package names, fetched unless the cache
    holds it.

    PackageIntegrityError where it is not https, has no hash, is not the file with that hash or has
    more than `most` bytes; PackageError where it cannot be fetched.
    """
    if not sha256 or not _SHA256.fullmatch(sha256):
        raise PackageIntegrityError(
            f'the package {package} names "{shown(address)}" without its sha256: it is not '
            "fetched, get the whole package"
        )
    _check_address(address, package)
    kept = user_cache_path("care_bridge") / "downloads" / sha256.lower()
    if kept.exists():
        return kept
    digest = hashlib.sha256()
    try:
        with replacing(kept) as partial, partial.open("wb") as file:
            for part in _parts(address, most, package):
                digest.update(part)
                file.write(part)
            check_digest(digest.hexdigest(), sha256, address, package)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise PackageError(
            f'"{shown(address)}" cannot be fetched ({shown(str(reason))}): try again, or get the '
            "whole package"
        ) from error
    return kept


def _parts(address: str, most: int, package: Path) -> Iterator[bytes]:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _HttpsRedirects(package),
    ):
        opener.add_handler(handler)
    size = 0
    with opener.open(address, timeout=_SECONDS) as response:
        while part := response.read(_CHUNK):
            size += len(part)
            if size > most:
                raise PackageIntegrityError(
                    f'"{shown(address)}" has more than {most} bytes, the most that is fetched: do '
                    "not use this package"
                )
            yield part


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, package: Path) -> None:
        self._package = package

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_address(newurl, self._package)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_address(address: str, package: Path) -> None:
    if not address.lower().startswith("https://"):
        raise PackageIntegrityError(
            f'"{shown(address)}", which the package {package} names, is no https address: it is '
            "not fetched, get the whole package"
        )
