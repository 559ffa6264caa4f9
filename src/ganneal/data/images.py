"""Folders and zip files of images, any mixture of formats; each image is decoded when it is first asked for."""

import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

import numpy as np

from ganneal.data.contract import MAX_BYTES, Options, check_count, split
from ganneal.data.pixels import (
    CHANNELS,
    Decoded,
    Images,
    channels_first,
    check_sides,
    fit_image,
    images,
    in_threads,
    opened,
)
from ganneal.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_MEMBER = 256 * 2**20
TURNED = (5, 6, 7, 8)
ORIENTATION = 0x0112


@dataclass(frozen=True)
class File:
    """One image: what messages call it, and how to open it."""

    name: str
    open: Callable[[], IO[bytes]]


def open_folder(path: Path, name: str, options: Options) -> Images:
    """All images below a folder, in the order of their names. Hidden files and links that lead outside are left out."""
    root, found = path.resolve(), []
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(f for f in folders if not _hidden(f))
        for file in sorted(files):
            full = Path(folder, file)
            outside = full.is_symlink() and not full.resolve().is_relative_to(root)
            if full.suffix.lower() in SUFFIXES and not _hidden(file) and not outside:
                found.append(File(f"{name}{full.relative_to(path).as_posix()}", partial(io.FileIO, full)))
    return _pictures(found, name, options)


def open_zip(path: Path, name: str, options: Options) -> Images:
    """All images in a zip file, read in place: nothing is written to disk, names and sizes are checked first."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UsageError(f"{name}: not a readable zip file (truncated or damaged): {error}") from None
    members = archive.infolist()
    for member in members:
        parts = re.split(r"[/\\]", member.filename)
        if ".." in parts or parts[0] == "" or re.match("[A-Za-z]:", parts[0]):
            raise UsageError(
                f"{name}: member '{member.filename}' leads outside the zip file; "
                "only relative names without '..' are allowed"
            )
        if member.flag_bits & 1:
            raise UsageError(f"{name}: member '{member.filename}' is encrypted; only plain zip files are allowed")
        if member.file_size > MAX_MEMBER:
            raise UsageError(
                f"{name}: member '{member.filename}' has {member.file_size} bytes; at most {MAX_MEMBER} are allowed"
            )
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES:
        raise UsageError(f"{name}: {total} bytes when unpacked; at most {MAX_BYTES} are allowed")
    found = [
        File(f"{name}:{member.filename}", partial(_member, archive, member, name))
        for member in sorted(members, key=lambda m: m.filename)
        if PurePosixPath(member.filename).suffix.lower() in SUFFIXES
        and not any(map(_hidden, member.filename.split("/")))
    ]
    return _pictures(found, name, options)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> IO[bytes]:
    try:
        with archive.open(member) as stream:
            return io.BytesIO(stream.read(MAX_MEMBER))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error) as error:
        raise UsageError(f"{name}:{member.filename}: cannot be unpacked: {error}") from None


def _pictures(files: list[File], name: str, options: Options) -> Images:
    if not files:
        raise UsageError(f"{name}: no images found; allowed are {', '.join(SUFFIXES)}")
    check_count(name, len(files))
    headers = in_threads(_header, files)
    size, bands = headers[0][0], {b for _, b in headers}
    # grey with transparency and colour without have only one form in common that loses neither
    channels = 4 if {2, 3} <= bands else max(bands)
    if options.size is not None:
        size = (options.size, options.size)
    else:
        for file, (other, _) in zip(files, headers, strict=True):
            if other != size:
                raise UsageError(
                    f"{name}: images differ in size: {files[0].name} has {size[0]}x{size[1]} pixels, {file.name} "
                    f"{other[0]}x{other[1]}; pass --size to crop and resize them all to one square size"
                )
        check_sides(name, size[1], size[0])
    shape = (channels, size[1], size[0])
    decoded = Decoded(name, len(files), shape, lambda i: _decode(files[i], channels, options.size))
    return images(name, decoded, shape, split(name, len(files), options), options)


def _header(file: File) -> tuple[tuple[int, int], int]:
    """Width and height as seen upright, and number of channels, without decoding the pixels."""
    with _stream(file) as stream, opened(stream, file.name) as image:
        if image.mode == "F":
            raise UsageError(f"{file.name}: holds floating-point pixels; allowed are 1 to 16 bits a channel")
        if image.mode in ("P", "PA"):
            bands = 4 if image.mode == "PA" or "transparency" in image.info else 3
        else:
            bands = {"1": 1, "L": 1, "I": 1, "LA": 2, "La": 2, "RGBA": 4, "RGBa": 4}.get(
                image.mode, 1 if ";16" in image.mode else 3
            )
        width, height = image.size
        turned = _may_turn(image) and image.getexif().get(ORIENTATION) in TURNED
    return (height, width) if turned else (width, height), bands


def _decode(file: File, channels: int, side: int | None) -> np.ndarray:
    """uint8 [C, H, W] of one image, upright, in the common number of channels."""
    from PIL import Image, ImageOps

    with _stream(file) as stream, opened(stream, file.name) as opened_image:
        image: Image.Image = ImageOps.exif_transpose(opened_image) if _may_turn(opened_image) else opened_image
        if image.mode == "I" or ";16" in image.mode:
            wide = np.asarray(image).astype(np.int64)
            if wide.min() < 0 or wide.max() > 65535:
                raise UsageError(f"{file.name}: holds values in [{wide.min()}, {wide.max()}]; 0..65535 are allowed")
            image = Image.fromarray(np.rint(wide / 257).astype(np.uint8))
        elif image.mode not in ("L", "LA", "RGB", "RGBA", "P"):
            image = image.convert({"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}.get(image.mode, "RGB"))
        image = image.convert(CHANNELS[channels])
        return channels_first(image if side is None else fit_image(image, side))


def _stream(file: File) -> IO[bytes]:
    try:
        return file.open()
    except OSError as error:
        raise UsageError(f"{file.name}: cannot be opened: {error.strerror}") from None


def _may_turn(image: "Image") -> bool:
    # looking for the orientation in a PNG would decode all of it
    return image.format in ("JPEG", "MPO", "WEBP", "TIFF")


def _hidden(name: str) -> bool:
    return (name.startswith(".") and name != ".") or name == "__MACOSX"
