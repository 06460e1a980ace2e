"""One trajectory, several file formats: all read to the same numbers."""

import gzip
import lzma

import numpy as np
import pytest
from ase import Atoms
from ase.io import Trajectory as AseTrajectory
from ase.io import write

from e3md.analysis import read_trajectory

SPECIES = ["Li", "P", "S"]


@pytest.fixture(scope="module")
def frames():
    """Walkers in a breathing, skewed cell, wrapped into it; LAMMPS' orientation of the axes."""
    rng = np.random.default_rng(0)
    base = np.array([[8.0, 0, 0], [3.0, 7.0, 0], [-2.0, 2.5, 9.0]])
    cells = base * (1 + 0.01 * np.sin(np.arange(60) / 5))[:, None, None]
    fractional = rng.normal(0, 0.08, (60, 9, 3)).cumsum(axis=0)
    images = np.floor(fractional).astype(int)
    result = []
    for cell, scaled, image, number in zip(cells, fractional, images, range(60), strict=True):
        atoms = Atoms(SPECIES * 3, cell=cell, pbc=True, positions=(scaled % 1.0) @ cell)
        atoms.info["time_ps"] = number * 0.05
        atoms.set_array("image", image)
        result.append(atoms)
    return result


def write_dump(path, frames, columns, corner=(0.0, 0.0, 0.0), time=True, n_end=None):
    """A dump as LAMMPS writes it, atoms in shuffled order."""
    corner = np.array(corner)
    lines = ["ITEM: UNITS", "metal"] if time else []
    for step, atoms in enumerate(frames):
        (lx, _, _), (xy, ly, _), (xz, yz, lz) = atoms.cell.array
        low = corner + np.array([min(0, xy, xz, xy + xz), min(0, yz), 0])
        high = corner + np.array([lx + max(0, xy, xz, xy + xz), ly + max(0, yz), lz])
        if time:
            lines += ["ITEM: TIME", f"{step * 0.05:.12g}"]
        lines += ["ITEM: TIMESTEP", str(step * 50), "ITEM: NUMBER OF ATOMS", str(len(atoms))]
        lines += ["ITEM: BOX BOUNDS xy xz yz pp pp pp"]
        for a, b, tilt in zip(low, high, (xy, xz, yz), strict=True):
            lines.append(f"{a:.15g} {b:.15g} {tilt:.15g}")
        lines.append("ITEM: ATOMS " + columns)
        image = atoms.get_array("image")
        table = {"x y z": atoms.positions + corner, "ix iy iz": image}
        table["xu yu zu"] = table["x y z"] + image @ atoms.cell.array
        table["xs ys zs"] = atoms.get_scaled_positions(wrap=False)
        for i in np.random.default_rng(step).permutation(len(atoms)):
            row = {"id": i + 1, "type": SPECIES.index(atoms.symbols[i]) + 1}
            row["element"] = atoms.symbols[i]
            for names, values in table.items():
                row |= dict(zip(names.split(), values[i], strict=True))
            lines.append(" ".join(str(row[name]) for name in columns.split()))
    path.write_text("\n".join(lines[:n_end]) + "\n")


def assert_same(one, other, tolerance=1e-9):
    assert one.species == other.species
    assert one.pbc == other.pbc
    assert np.allclose(one.time, other.time, atol=1e-12)
    assert np.allclose(one.cells, other.cells, atol=tolerance)
    # the first frame may be another image
    moved = one.displacements() - other.displacements()
    assert np.abs(moved).max() < tolerance


@pytest.fixture(scope="module")
def reference(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "md.traj"
    with AseTrajectory(path, "w") as file:
        for atoms in frames:
            file.write(atoms)
    return read_trajectory(path)


def test_traj_is_unwrapped(frames, reference):
    assert reference.n_frames == 60
    assert reference.time[-1] == pytest.approx(59 * 0.05)
    wrapped = np.array([atoms.positions for atoms in frames])
    assert np.abs(reference.positions - wrapped).max() > 7  # boundaries were crossed
    steps = np.diff(reference.displacements(), axis=0)
    assert np.linalg.norm(steps, axis=2).max() < 4


@pytest.mark.parametrize("suffix", ["", ".xz", ".gz"])
def test_extxyz(frames, reference, tmp_path, suffix):
    plain = tmp_path / "md.extxyz"
    write(plain, frames)
    path = plain
    if suffix:
        path = tmp_path / f"md.extxyz{suffix}"
        opener = lzma.open if suffix == ".xz" else gzip.open
        with opener(path, "wb") as file:
            file.write(plain.read_bytes())
    assert_same(read_trajectory(path), reference, 1e-6)  # extxyz keeps 8 decimals


def test_a_blank_line_ends_no_extxyz(frames, reference, tmp_path):
    """ASE reads no further than the first one."""
    parts = []
    for half in (frames[:30], frames[30:]):
        write(tmp_path / "half.xyz", half, format="extxyz")
        parts.append((tmp_path / "half.xyz").read_text())
    (tmp_path / "joined.xyz").write_text(" \n\n".join(parts))
    assert_same(read_trajectory(tmp_path / "joined.xyz"), reference, 1e-7)


@pytest.mark.parametrize(
    "columns",
    [
        "id element xu yu zu",
        "element id x y z ix iy iz",
        "id type element xs ys zs ix iy iz",
        "id element x y z",
        "id type xs ys zs",
    ],
)
@pytest.mark.parametrize("corner", [(0.0, 0.0, 0.0), (-3.0, 5.0, 1.0)])
def test_lammps_dump(frames, reference, tmp_path, columns, corner):
    write_dump(tmp_path / "md.lammpstrj", frames, columns, corner)
    types = None if "element" in columns else SPECIES
    assert_same(read_trajectory(tmp_path / "md.lammpstrj", types=types), reference)


def test_time_from_the_frame_interval(frames, reference, tmp_path):
    write_dump(tmp_path / "md.lammpstrj", frames, "id element xu yu zu", time=False)
    with pytest.raises(ValueError, match="time yes"):
        read_trajectory(tmp_path / "md.lammpstrj")
    assert_same(read_trajectory(tmp_path / "md.lammpstrj", frame_fs=50.0), reference)


def test_unfinished_last_frame_is_left_out(frames, tmp_path):
    write_dump(tmp_path / "md.lammpstrj", frames, "id element xu yu zu", n_end=-4)
    assert read_trajectory(tmp_path / "md.lammpstrj").n_frames == 59


def test_frames_written_twice_count_once(frames, reference, tmp_path):
    write_dump(tmp_path / "a", frames, "id element xu yu zu")
    text = (tmp_path / "a").read_text()
    (tmp_path / "b").write_text(text + text[text.rindex("ITEM: TIME\n") :])  # a restarted run
    assert_same(read_trajectory(tmp_path / "b"), reference)


@pytest.mark.parametrize(
    ("columns", "types", "message"),
    [
        ("element xu yu zu", None, r"step 0: no column `id`"),
        ("id xu yu zu", None, "no column `element`, `typelabel` or `type`"),
        ("id element xu yu", None, "no positions among the columns id element xu yu"),
        ("id type xu yu zu", None, "3 is not an element"),
        ("id type xu yu zu", ["Li"], "atom type 3, but only 1"),
    ],
)
def test_bad_columns_are_named(frames, tmp_path, columns, types, message):
    write_dump(tmp_path / "md.lammpstrj", frames[:2], columns)
    with pytest.raises(ValueError, match=message) as error:
        read_trajectory(tmp_path / "md.lammpstrj", types=types)
    assert "md.lammpstrj" in str(error.value)


def test_all_carbon_is_not_believed(frames, tmp_path):
    write_dump(tmp_path / "a", frames[:2], "id type element xu yu zu")
    text = (tmp_path / "a").read_text()
    for name in SPECIES:
        text = text.replace(f" {name} ", " C ")
    (tmp_path / "b").write_text(text)  # what LAMMPS writes without dump_modify element
    with pytest.raises(ValueError, match="dump_modify"):
        read_trajectory(tmp_path / "b")
    assert read_trajectory(tmp_path / "b", types=SPECIES).species[:3] == tuple(SPECIES)


def test_changing_atoms_are_named(frames, tmp_path):
    write(tmp_path / "md.extxyz", [frames[0], frames[1][:-1]])
    with pytest.raises(
        ValueError, match=r"md\.extxyz: frame 1 lacks 1 atoms \(8\) compared with frame 0"
    ):
        read_trajectory(tmp_path / "md.extxyz", frame_fs=1.0)


def test_unreadable_file_is_named(tmp_path):
    (tmp_path / "junk.extxyz").write_text("not a trajectory\n")
    with pytest.raises(ValueError, match=r"junk\.extxyz"):
        read_trajectory(tmp_path / "junk.extxyz", frame_fs=1.0)
    with pytest.raises(FileNotFoundError):
        read_trajectory(tmp_path / "absent.traj")
