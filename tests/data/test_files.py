"""Every file format, made here and read back."""

import gzip
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from ganneal.data import SOURCES, Source, open_source

RANDOM = np.random.default_rng(0)
TABLE = RANDOM.normal([1, -200, 1e6], [1, 30, 5], (40, 3))
PIXELS = RANDOM.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)


def everything(source: Source) -> np.ndarray:
    """All examples in the user's units: training part, then held-out part."""
    x = torch.cat([source.rows(torch.arange(source.size)), source.heldout(10**6)])
    assert x.dtype == torch.float32
    assert x.shape[1:] == source.shape
    return source.decode(x)


def same_set(a: np.ndarray, b: np.ndarray, tolerance: float = 0) -> bool:
    """Whether a and b hold the same examples, each once, in any order."""
    a, b = (np.array(sorted(v.reshape(len(v), -1).tolist())) for v in (a, b))
    return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance * 10)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def mosaic(path, tiles: np.ndarray, across: int) -> None:
    n, s = tiles.shape[:2]
    big = tiles.reshape(n // across, across, s, s, 3).swapaxes(1, 2).reshape(n // across * s, across * s, 3)
    Image.fromarray(big).save(path, lossless=True)


@pytest.fixture
def write(tmp_path):
    """write(name, content) puts a file in place and returns its path as text."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, dict):
            np.savez_compressed(path, **content)
        elif path.suffix == ".npy":
            np.save(path, content)
        else:
            Image.fromarray(content).save(path)
        return str(path)

    return write


def csv(rows, separator=","):
    return "\n".join(separator.join(map(repr, map(float, row))) for row in rows) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("t.npy", TABLE, ("x0", "x1", "x2")),
        ("t.npz", {"only": TABLE}, ("x0", "x1", "x2")),
        ("t.npz", {"x": TABLE, "other": TABLE[:5]}, ("x0", "x1", "x2")),
        ("t.csv", csv(TABLE), ("x0", "x1", "x2")),
        ("t.csv", "a,b,c\n" + csv(TABLE), ("a", "b", "c")),
        ("t.csv", "\ufeffa;2019;c\n" + csv(TABLE, ";"), ("a", "2019", "c")),
        ("t.tsv", '"a"\t"b"\t\n' + csv(TABLE, "\t"), ("a", "b", "x2")),
    ],
)
def test_tables(write, name, content, columns):
    path = write(name, content)
    source = open_source(path)
    assert (source.name, source.kind, source.shape, source.size) == (path, "table", (3,), 36)
    assert source.columns == columns
    assert same_set(everything(source), TABLE, 1e-6)


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="the tables extra is not installed")
    import pyarrow.parquet as pq

    columns = {"a": TABLE[:, 0], "n": np.arange(40), "flag": np.arange(40) % 2 == 0}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    assert source.columns == ("a", "n", "flag")
    assert same_set(everything(source), np.stack([v.astype(float) for v in columns.values()], 1), 1e-6)


def test_standardised_with_the_training_part_only():
    table = np.concatenate([TABLE, np.full((40, 1), 0.1), np.arange(40)[:, None] * 1e300], 1)
    source = open_source(table)
    train = source.rows(torch.arange(36)).double()
    torch.testing.assert_close(train.mean(0), torch.zeros(5).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.tensor([1, 1, 1, 0, 1]).double(), atol=1e-6, rtol=0)
    assert source.std[3] == 1
    assert source.mean[3] == 0.1
    assert source.heldout(100).mean(0)[:3].abs().max() > 1e-3


@pytest.mark.parametrize("count", [4, 5, 40])
def test_held_out_part_is_never_a_row(count):
    table = np.arange(count, dtype=np.int64)
    source = open_source(table, seed=3)
    held = source.decode(source.heldout(count))
    rows = source.decode(source.rows(torch.arange(source.size)))
    assert len(held) == max(1, count // 10)
    assert not set(held.round().ravel()) & set(rows.round().ravel())
    assert same_set(everything(source).round(), table[:, None])
    again = open_source(table, seed=3)
    assert torch.equal(again.heldout(count), source.heldout(count))
    assert torch.equal(source.heldout(1), source.heldout(count)[:1])
    drawn = source.sample(200, torch.Generator().manual_seed(0))
    assert not set(source.decode(drawn).round().ravel()) & set(held.round().ravel())


def test_seed_and_fraction_change_the_split():
    x = np.arange(100.0)
    assert open_source(x, heldout=0.25).size == 75
    assert not torch.equal(open_source(x, seed=1).heldout(10), open_source(x, seed=2).heldout(10))


@pytest.mark.parametrize(
    ("array", "shape", "pixels"),
    [
        (PIXELS, (3, 6, 5), PIXELS),
        (PIXELS.transpose(0, 3, 1, 2), (3, 6, 5), PIXELS),
        (PIXELS[..., 0], (1, 6, 5), PIXELS[..., 0]),
        (PIXELS[..., :2], (2, 6, 5), PIXELS[..., :2]),
        (PIXELS / 255, (3, 6, 5), PIXELS),
        ((PIXELS / 127.5 - 1).astype(np.float32), (3, 6, 5), PIXELS),
        (torch.from_numpy(PIXELS).double() / 127.5 - 1, (3, 6, 5), PIXELS),
    ],
)
def test_image_arrays(array, shape, pixels):
    source = open_source(array)
    assert (source.name, source.kind, source.shape, source.size) == ("array", "image", shape, 11)
    x = source.rows(torch.arange(11))
    assert x.min() >= -1
    assert x.max() <= 1
    decoded = everything(source)
    assert decoded.dtype == np.uint8
    assert decoded.shape[1:] == pixels.shape[1:]
    assert same_set(decoded, pixels)


def test_arrays_are_copied_and_tensors_of_any_kind_work():
    mine = PIXELS[..., 0].copy()
    source = open_source(mine)
    before = source.rows(torch.arange(3))
    mine[:] = 0
    assert torch.equal(source.rows(torch.arange(3)), before)
    for dtype in (torch.float64, torch.bfloat16, torch.int32, torch.bool):
        values = torch.tensor([0, 1, 0, 1, 1]).to(dtype).requires_grad_(dtype.is_floating_point)
        assert same_set(everything(open_source(values)), np.array([[0], [1], [0], [1], [1]]), 1e-6)


def test_own_test_part_and_labels(write):
    x, y = PIXELS[..., 0], np.arange(12, dtype=np.uint8)
    path = write("m.npz", {"x_train": x[:8], "y_train": y[:8], "x_test": x[8:], "y_test": y[8:]})
    source = open_source(path)
    assert source.size == 8
    assert source.labels.tolist() == list(range(8))
    assert source.labels.dtype == torch.int64
    assert sorted(source.heldout_labels.tolist()) == [8, 9, 10, 11]
    assert (source.decode(source.heldout(9)) == x[source.heldout_labels]).all()
    assert open_source(f"{path}:x_test").size == 3
    assert open_source(f"{path}:x_test").name == f"{path}:x_test"


@pytest.mark.parametrize("packed", [False, True])
def test_idx(write, packed):
    x, y = PIXELS[..., 0], np.arange(12, dtype=np.uint8)
    parts = {"train": slice(0, 8), "t10k": slice(8, 12)}
    for part, rows in parts.items():
        for kind, array in (("images-idx3", x[rows]), ("labels-idx1", y[rows])):
            data = gzip.compress(idx(array)) if packed else idx(array)
            path = write(f"{part}-{kind}-ubyte" + ".gz" * packed, data)
            if (part, kind) == ("train", "images-idx3"):
                first = path
    source = open_source(first)
    assert (source.shape, source.size) == ((1, 6, 5), 8)
    assert (source.decode(source.rows(torch.arange(8))) == x[:8]).all()
    assert (source.decode(source.heldout(9)) == x[source.heldout_labels]).all()
    assert source.labels.tolist() == list(range(8))
    alone = open_source(write("alone.idx3-ubyte", idx(x)))
    assert (alone.size, alone.labels) == (11, None)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_folder_and_zip_of_images(write, tmp_path, kind):
    grey, size = PIXELS[..., 0], 4
    for i in range(4):
        write(f"photos/a{i}.png", PIXELS[i])
        write(f"photos/deep/er/b{i}.bmp", grey[i + 4])
    write("photos/notes.txt", "no image")
    write("photos/.hidden.png", b"junk")
    write("photos/__MACOSX/a.png", b"junk")
    text = f"{tmp_path}/photos"
    if kind == "zip":
        text += ".zip"
        with zipfile.ZipFile(text, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in (tmp_path / "photos").rglob("*.*"):
                archive.write(path, path.relative_to(tmp_path))
    source = open_source(text)
    assert source.name == (text if kind == "zip" else f"{text}/")
    assert (source.shape, source.size) == ((3, 6, 5), 7)
    expected = np.concatenate([PIXELS[:4], np.repeat(grey[4:8, ..., None], 3, -1)])
    assert same_set(everything(source), expected)
    assert open_source(text, size=size).rows(torch.arange(7)).shape == (7, 3, size, size)
    assert len(list(tmp_path.iterdir())) == 1 + (kind == "zip")


@pytest.mark.parametrize(
    ("modes", "channels"),
    [
        (["L"], 1),
        (["1", "L"], 1),
        (["RGB", "L"], 3),
        (["RGBA", "L"], 4),
        (["LA", "L"], 2),
        (["LA", "RGB"], 4),
        (["P"], 3),
    ],
)
def test_channel_modes(tmp_path, modes, channels):
    for i in range(4):
        Image.fromarray(PIXELS[i]).convert(modes[i % len(modes)]).save(tmp_path / f"{i}.png")
    source = open_source(tmp_path)
    assert source.shape == (channels, 6, 5)
    assert source.rows(torch.arange(3)).shape == (3, channels, 6, 5)


def test_sixteen_bits_and_orientation(tmp_path):
    (tmp_path / "wide").mkdir()
    levels = np.linspace(0, 65535, 30).round().astype(np.uint16).reshape(6, 5)
    for i in range(4):
        Image.fromarray(levels).save(tmp_path / "wide" / f"{i}.png")
        upright = Image.fromarray(PIXELS[i])
        exif = Image.Exif()
        exif[0x0112] = 6
        (tmp_path / "turned").mkdir(exist_ok=True)
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned" / f"{i}.webp", exif=exif, lossless=True)
    assert (everything(open_source(tmp_path / "wide"))[0] == np.rint(levels / 257.0)).all()
    assert same_set(everything(open_source(tmp_path / "turned")), PIXELS[:4])


def test_crop_and_resize(tmp_path):
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = 200
    for i in range(4):
        Image.fromarray(wide).save(tmp_path / f"{i}.png")
    for source in (open_source(tmp_path, size=4), open_source(np.stack([wide] * 4), size=4)):
        assert source.shape == (3, 4, 4)
        assert (everything(source) == 200).all()


def test_each_image_is_decoded_once_and_only_when_needed(tmp_path):
    for i in range(8):
        Image.fromarray(PIXELS[i]).save(tmp_path / f"{i}.png")
    source = open_source(tmp_path)
    x = source.rows(torch.tensor([0, 1, 1, 0]))
    assert source.fetch.done.sum() == 2
    for path in tmp_path.iterdir():
        path.unlink()
    assert torch.equal(source.rows(torch.tensor([0, 1, 1, 0])), x)


def test_mosaics(tmp_path):
    tiles = RANDOM.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    mosaic(tmp_path / "small8.webp", tiles, 4)
    mosaic(tmp_path / "plain.webp", tiles, 3)
    mosaic(tmp_path / "plain.png", tiles, 3)
    for text in ("small8.webp", "plain.webp:8", "plain.png:8"):
        source = open_source(f"{tmp_path}/{text}")
        assert (source.name, source.shape, source.size) == (f"{tmp_path}/{text}", (3, 8, 8), 11)
        assert same_set(everything(source), tiles)


@pytest.mark.parametrize("text", ["cifar10", "cifar10-train-0.webp"])
def test_mosaic_family(tmp_path, text):
    tiles = RANDOM.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    for i in range(2):
        mosaic(tmp_path / f"cifar10-train-{i}.webp", tiles[4 * i : 4 * i + 4], 2)
    mosaic(tmp_path / "cifar10-test.webp", tiles[8:], 1)
    np.savez(tmp_path / "cifar10-labels.npz", y_train=np.arange(8), y_test=np.arange(8, 10))
    source = open_source(tmp_path / text)
    assert (source.name, source.size) == (f"{tmp_path}/cifar10", 8)
    assert (source.decode(source.rows(torch.arange(8))) == tiles[source.labels]).all()
    assert (source.decode(source.heldout(5)) == tiles[source.heldout_labels]).all()


def test_digits():
    source = open_source("digits")
    assert (source.name, source.kind, source.shape, source.size) == ("digits", "image", (1, 8, 8), 1438)
    everything_ = everything(source)
    assert everything_.shape == (1797, 8, 8)
    assert set(np.unique(everything_)) == {round(255 * k / 16) for k in range(17)}
    held = torch.bincount(source.heldout_labels) / (
        torch.bincount(source.labels) + torch.bincount(source.heldout_labels)
    )
    assert (held - 0.2).abs().max() < 0.01
    assert open_source("digits(heldout=0.5)").size == pytest.approx(898, abs=6)
    assert open_source("digits", size=16).heldout(2).shape == (2, 1, 16, 16)
    # the mean image of the published file: 4.8842 of 16 levels
    assert everything_.mean() / 255 * 16 == pytest.approx(4.8842, abs=0.01)


def test_registered_name_wins_over_file_and_sources_pass_through(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    source = open_source("digits")
    assert source.shape == (1, 8, 8)
    assert open_source(source) is source
    assert {"ring8", "digits", "dirac"} <= set(SOURCES)
