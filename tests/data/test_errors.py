"""Every bad input is refused with one line that names what was given and says what is allowed."""

import gzip
import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from ganneal.data import open_source
from ganneal.errors import UsageError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (8, 6, 6), dtype=np.uint8)


def png(pixels=PIXELS[0]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def archive(**members) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return stream.getvalue()


def idx(array) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


HOLED = np.ones((6, 2))
HOLED[3, 1] = np.nan
LYING = npy(np.ones((4, 4))).replace(b"(4, 4)", b"(9, 9)")
# the same number of bytes, but the second picture is another format's program
FOREIGN = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 6\n"

# text relative to the folder, files in it, what the message must contain
FILES = {
    "unknown": ("rnig8", {}, ["'rnig8'", "no such file", "did you mean 'ring8'"]),
    "missing file": ("x.npy", {}, ["x.npy", "no such file"]),
    "key of a missing file": ("x.npz:a", {}, ["x.npz:a", "no such file"]),
    "unknown ending": ("x.docx", {"x.docx": b"a"}, ["x.docx", "'.docx'", ".csv", "folders"]),
    "one jpeg": ("x.jpg", {"x.jpg": b"a"}, ["x.jpg", "give their folder"]),
    "folder named like a file": ("x.npy", {"x.npy/a.txt": b"a"}, ["x.npy", "is a folder"]),
    "folder with a key": ("d:a", {"d/a.txt": b"a"}, ["d:a", "is a folder"]),
    "empty folder": ("d", {"d/.keep": b""}, ["d/", "no images found", ".png"]),
    "folder without images": ("d", {"d/a.txt": b"a", "d/b.csv": b"1"}, ["d/", "no images found", ".png"]),
    "one image": ("d", {"d/a.png": png()}, ["d/", "1 example;", "at least 4"]),
    "mixed sizes": (
        "d",
        {f"d/{i}.png": png(PIXELS[0, : 4 + i]) for i in range(4)},
        ["d/0.png", "6x4", "d/1.png", "6x5", "--size"],
    ),
    "no image inside": ("d", {f"d/{i}.png": png() if i != 2 else b"junk" for i in range(4)}, ["d/2.png", "PNG"]),
    "foreign format": ("d", {f"d/{i}.png": FOREIGN for i in range(4)}, ["d/0.png", "PNG"]),
    "small images": ("d", {f"d/{i}.png": png(PIXELS[0, :3]) for i in range(4)}, ["d/", "6x3", "4..1024", "--size"]),
    "empty zip": ("x.zip", {"x.zip": archive()}, ["x.zip", "no images found"]),
    "broken zip": ("x.zip", {"x.zip": b"PK junk"}, ["x.zip", "not a readable zip"]),
    "climbing zip": ("x.zip", {"x.zip": archive(**{"a/../../b.png": png()})}, ["x.zip", "a/../../b.png", "'..'"]),
    "climbing windows zip": ("x.zip", {"x.zip": archive(**{"..\\b.png": png()})}, ["x.zip", "b.png", "'..'"]),
    "absolute zip": ("x.zip", {"x.zip": archive(**{"/etc/b.png": png()})}, ["x.zip", "/etc/b.png", "relative"]),
    "absolute windows zip": ("x.zip", {"x.zip": archive(**{"C:/b.png": png()})}, ["x.zip", "C:/b.png", "relative"]),
    "empty npy": ("x.npy", {"x.npy": b""}, ["x.npy", "not a readable .npy"]),
    "junk npy": ("x.npy", {"x.npy": b"junk, not numpy"}, ["x.npy", "not a readable .npy"]),
    "short npy": ("x.npy", {"x.npy": npy(np.ones((9, 9)))[:-8]}, ["x.npy", "promises 648", "640"]),
    "lying npy": ("x.npy", {"x.npy": LYING}, ["x.npy", "promises 648", "128", "truncated"]),
    "objects": ("x.npy", {"x.npy": npy(np.array([{}, 1, 2, 3], object))}, ["x.npy", "Python objects", "floats"]),
    "complex": ("x.npy", {"x.npy": npy(np.ones(4, complex))}, ["x.npy", "complex", "floats"]),
    "strings": ("x.npy", {"x.npy": npy(np.array(["a"] * 4))}, ["x.npy", "text", "floats"]),
    "records": ("x.npy", {"x.npy": npy(np.zeros(4, [("a", "f8")]))}, ["x.npy", "records", "floats"]),
    "dates": ("x.npy", {"x.npy": npy(np.zeros(4, "M8[s]"))}, ["x.npy", "dates", "floats"]),
    "5-D": ("x.npy", {"x.npy": npy(np.ones((4, 1, 1, 1, 1)))}, ["x.npy", "5-D", "4-D"]),
    "0-D": ("x.npy", {"x.npy": npy(np.float64(1))}, ["x.npy", "0-D", "1-D"]),
    "zero columns": ("x.npy", {"x.npy": npy(np.ones((9, 0)))}, ["x.npy", "no columns"]),
    "three rows": ("x.npy", {"x.npy": npy(np.ones((3, 2)))}, ["x.npy", "3 examples", "at least 4"]),
    "nan": ("x.npy", {"x.npy": npy(HOLED)}, ["x.npy", "'x1'", "nan", "row 4"]),
    "inf": ("x.npy", {"x.npy": npy(np.where(np.isnan(HOLED), -np.inf, 1))}, ["x.npy", "'x1'", "-inf", "row 4"]),
    "nan image": ("x.npy", {"x.npy": npy(np.full((4, 6, 6, 1), np.nan))}, ["x.npy", "image 0", "finite"]),
    "bright floats": ("x.npy", {"x.npy": npy(np.full((4, 6, 6, 1), 9.0))}, ["x.npy", "[-1, 1]", "[9, 9]"]),
    "3-D floats": ("x.npy", {"x.npy": npy(np.ones((4, 6, 6)))}, ["x.npy", "3-D", "float64", "uint8"]),
    "no channels": ("x.npy", {"x.npy": npy(np.ones((4, 6, 6, 6), np.uint8))}, ["x.npy", "(4, 6, 6, 6)", "channels"]),
    "tiny images": ("x.npy", {"x.npy": npy(PIXELS[:, :3])}, ["x.npy", "6x3", "4..1024"]),
    "which key": ("x.npz", {"x.npz": npz(a=HOLED, b=HOLED)}, ["x.npz", "x.npz:KEY", "a, b"]),
    "wrong key": ("x.npz:tain", {"x.npz": npz(train=HOLED, b=HOLED)}, ["'tain'", "did you mean 'train'"]),
    "empty npz": ("x.npz", {"x.npz": npz()}, ["x.npz", "no arrays"]),
    "object npz": ("x.npz", {"x.npz": npz(a=np.array([{}], object))}, ["x.npz:a", "Python objects"]),
    "broken npz": ("x.npz", {"x.npz": npz(a=np.ones(9))[:-30]}, ["x.npz", "truncated"]),
    "odd test part": ("x.npz", {"x.npz": npz(x_train=PIXELS, x_test=PIXELS[:, :5])}, ["x.npz", "(5, 6)", "agree"]),
    "empty test part": ("x.npz", {"x.npz": npz(x_train=PIXELS, x_test=PIXELS[:0])}, ["x.npz", "at least 1"]),
    "labels": ("x.npz", {"x.npz": npz(x=PIXELS, y=np.arange(3))}, ["x.npz", "(3,) labels for 8"]),
    "empty csv": ("x.csv", {"x.csv": b""}, ["x.csv", "empty"]),
    "only a header": ("x.csv", {"x.csv": b"a,b\n"}, ["x.csv", "0 examples"]),
    "words in csv": (
        "x.csv",
        {"x.csv": b"name,size,town\nAnn,1,Rome\n" + b"Bo,2,Oslo\n" * 5},
        ["x.csv", "'name' (for example 'Ann')", "'town' (for example 'Rome')", "leave them out"],
    ),
    "a late word": ("x.csv", {"x.csv": b"a,b\n" + b"1,2\n" * 5 + b"3,n/a\n"}, ["x.csv", "'b' (for example 'n/a')"]),
    "ragged csv": ("x.csv", {"x.csv": b"a,b\n1,2\n\n3,4\n5\n"}, ["x.csv", "line 5", "1 cells", "line 1 has 2"]),
    "hole in csv": ("x.csv", {"x.csv": b"a,b\n1,2\n3,\n5,6\n7,8\n"}, ["x.csv", "'b'", "nan", "row 2", "empty cell"]),
    "latin csv": ("x.csv", {"x.csv": "é,b\n1,2\n".encode("latin-1")}, ["x.csv", "UTF-8"]),
    "open quote": ("x.csv", {"x.csv": b'a,b\n"1,2\n3,4\n'}, ["x.csv", "CSV"]),
    "junk parquet": ("x.parquet", {"x.parquet": b"junk, not parquet"}, ["x.parquet", "cannot read the parquet"]),
    "junk idx": ("a-idx3-ubyte", {"a-idx3-ubyte": b"junk"}, ["a-idx3-ubyte", "6a756e6b", "000008"]),
    "empty idx": ("a-idx3-ubyte", {"a-idx3-ubyte": b""}, ["a-idx3-ubyte", "none", "000008"]),
    "short idx": ("a-idx3-ubyte", {"a-idx3-ubyte": idx(PIXELS)[:-1]}, ["a-idx3-ubyte", "287", "promises 288"]),
    "long idx": ("a-idx3-ubyte", {"a-idx3-ubyte": idx(PIXELS) + b"x"}, ["a-idx3-ubyte", "289", "promises 288"]),
    "huge idx": ("a-idx3-ubyte", {"a-idx3-ubyte": b"\0\0\x08\x03" + b"\xff" * 12}, ["a-idx3-ubyte", "header"]),
    "headless idx": ("a-idx3-ubyte", {"a-idx3-ubyte": b"\0\0\x08\x03\0\0"}, ["a-idx3-ubyte", "header"]),
    "labels as images": ("a-idx1-ubyte", {"a-idx1-ubyte": idx(np.arange(9, dtype=np.uint8))}, ["a-idx1", "3-D"]),
    "junk gz": ("a-idx3-ubyte.gz", {"a-idx3-ubyte.gz": b"junk"}, ["a-idx3-ubyte.gz", "gzip"]),
    "short gz": (
        "a-idx3-ubyte.gz",
        {"a-idx3-ubyte.gz": gzip.compress(idx(PIXELS))[:-20]},
        ["a-idx3-ubyte.gz", "trunc"],
    ),
    "gz of less": ("a-idx3-ubyte.gz", {"a-idx3-ubyte.gz": gzip.compress(idx(PIXELS)[:-1])}, ["287", "promises 288"]),
    "mosaic": ("a.webp", {"a.webp": b"junk"}, ["a.webp", "a.webp:64", "folder"]),
    "junk mosaic": ("a8.webp", {"a8.webp": b"junk"}, ["a8.webp", "WEBP"]),
    "tile": ("a.png:7", {"a.png": png(np.zeros((16, 16), np.uint8))}, ["a.png", "16x16", "7x7"]),
    "tile text": ("a.png:big", {"a.png": png()}, ["a.png", "'big'", "4..1024"]),
    "tile size": ("a.png:2000", {"a.png": png()}, ["a.png", "'2000'", "4..1024"]),
    "family": ("cifar10", {"cifar10-train-0.webp": b""}, ["cifar10-test.webp", "missing"]),
}


@pytest.mark.parametrize("case", FILES)
def test_bad_files(case, tmp_path):
    text, files, expected = FILES[case]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        open_source(text if case == "unknown" else str(tmp_path / text))
    message = str(caught.value)
    assert "\n" not in message
    for words in expected:
        assert words in message


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ("ring8", {"size": 8}, ["ring8", "size", "toy"]),
        (np.ones((9, 2)), {"size": 8}, ["array", "size", "table"]),
        (PIXELS, {"size": 3}, ["size", "4..1024", "3"]),
        (PIXELS, {"size": 1025}, ["size", "4..1024", "1025"]),
        (PIXELS, {"size": 8.0}, ["size", "whole", "8.0"]),
        (PIXELS, {"heldout": 0}, ["heldout", "0.9", "got 0"]),
        (PIXELS, {"heldout": 1.0}, ["heldout", "0.9", "got 1.0"]),
        (PIXELS, {"heldout": float("nan")}, ["heldout", "nan"]),
        (PIXELS, {"seed": -1}, ["seed", "at least 0", "-1"]),
        (3, {}, ["source", "int"]),
        ([1, 2, 3, 4], {}, ["source", "list"]),
        ("", {}, ["empty", "ring8"]),
        ("ring8(", {}, ["ring8("]),
        ("ring8(radus=1)", {}, ["ring8", "'radus'", "did you mean 'radius'"]),
        ("ring8(1, 2, 3)", {}, ["ring8", "radius, std"]),
        ("ring8(radius=0)", {}, ["ring8", "radius", "above 0", "got 0"]),
        ("ring8(std=[1])", {}, ["ring8", "std", "a number", "[1]"]),
        ("ring8(seed=1)", {}, ["seed", "--seed"]),
        ("grid25(spacing=-1)", {}, ["grid25", "spacing", "above 0"]),
        ("gaussian(dim=0)", {}, ["gaussian", "dim", "1..", "got 0"]),
        ("gaussian(dim=3, mean=[1, 2])", {}, ["gaussian", "agree", "[2, 3]"]),
        ("gaussian(mean=[])", {}, ["gaussian", "agree"]),
        ("gaussian(mean=moons)", {}, ["gaussian", "mean", "<moons"]),
        ("mixture(means=3)", {}, ["mixture", "means", "list", "3"]),
        ("mixture(means=[])", {}, ["mixture", "means", "[]"]),
        ("mixture(means=[1, [2, 3]])", {}, ["mixture", "same dimension", "[1, 2]"]),
        ("mixture(means=[1, 2], stds=[1])", {}, ["mixture", "stds", "2 means", "got 1"]),
        ("mixture(means=[1, 2], weights=[1, 0])", {}, ["mixture", "weights", "above 0"]),
        ("digits(heldout=2)", {}, ["digits: heldout", "0.9", "got 2"]),
    ],
)
def test_bad_requests(source, options, expected):
    with pytest.raises(UsageError) as caught:
        open_source(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    for words in expected:
        assert words in message


def test_a_truncated_image_is_named_when_it_is_fetched(tmp_path):
    import torch

    whole = png(RANDOM.integers(0, 256, (64, 64), dtype=np.uint8))
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(whole[:-2000] if i == 1 else whole)
    source = open_source(tmp_path)
    with pytest.raises(UsageError, match=r"1\.png: cannot decode"):
        [source.rows(torch.arange(3)), source.heldout(1)]


def test_a_damaged_zip_member_is_named(tmp_path):
    data = bytearray(archive(**{f"{i}.bmp": bytes(100) for i in range(4)}))
    data[60] ^= 1
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(UsageError, match=r"x\.zip:0\.bmp: cannot be unpacked"):
        open_source(tmp_path / "x.zip")


def test_a_zip_that_unpacks_to_too_much(tmp_path, monkeypatch):
    from ganneal.data import images

    (tmp_path / "x.zip").write_bytes(archive(**{"a.png": png(), "b.png": png()}))
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    with pytest.raises(UsageError, match=r"x\.zip: \d+ bytes when unpacked; at most 10"):
        open_source(tmp_path / "x.zip")
    monkeypatch.setattr(images, "MAX_MEMBER", 5)
    with pytest.raises(UsageError, match=r"'a\.png' has \d+ bytes; at most 5"):
        open_source(tmp_path / "x.zip")


def test_too_many_pixels(tmp_path, monkeypatch):
    from ganneal.data import pixels

    monkeypatch.setattr(pixels, "MAX_PIXELS", 35)
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(png())
    with pytest.raises(UsageError, match=r"0\.png: 6x6 pixels; at most 35"):
        open_source(tmp_path)


def test_links_that_lead_outside_are_left_out(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(png())
    for i in range(4):
        (tmp_path / "in" / f"{i}.png").write_bytes(png())
    os.symlink(tmp_path / "secret.png", tmp_path / "in" / "link.png")
    os.symlink(tmp_path / "in" / "0.png", tmp_path / "in" / "inside.png")
    source = open_source(tmp_path / "in")
    assert source.size + len(source.heldout(9)) == 5


def test_words_in_parquet_are_named(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="the tables extra is not installed")
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({"a": [1.0] * 4, "town": ["Rome"] * 4, "name": [None, "Bo", "Cy", "Di"]}), tmp_path / "x.parquet"
    )
    with pytest.raises(UsageError, match=r"'town' \(for example 'Rome'\), 'name' \(for example 'Bo'\)"):
        open_source(tmp_path / "x.parquet")
    pq.write_table(pa.table({"a": [1, None, 3, 4]}), tmp_path / "x.parquet")
    with pytest.raises(UsageError, match="'a' has nan in data row 2"):
        open_source(tmp_path / "x.parquet")


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    import sys

    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"x\.parquet.*pip install \"ganneal\[tables\]\""):
        open_source(tmp_path / "x.parquet")


def test_toys_have_no_rows():
    import torch

    with pytest.raises(UsageError, match=r"ring8.*sample"):
        open_source("ring8").rows(torch.arange(2))
