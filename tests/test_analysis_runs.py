"""Which frames of a file are one run: restarts, second runs, lost atoms, frames cut short."""

import gzip

import numpy as np
import pytest
from ase import Atoms
from ase.io import Trajectory as AseTrajectory
from ase.io import write

from e3md.analysis import diffusion_coefficient, mean_square_displacement, read_trajectory

BOX = 20.0


def walk(n_frames, d=2.0, seed=0, start=None, n_atoms=30):
    """(n_frames, n_atoms, 3) Å, 0.1 ps apart; the first frame is one step after `start`."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, np.sqrt(0.2 * d), (n_frames, n_atoms, 3))
    first = rng.uniform(0, BOX, (n_atoms, 3)) if start is None else start
    return first + steps.cumsum(axis=0)


def solid(n_frames, seed=0, n_atoms=30):
    """The same of atoms that rattle about their sites."""
    rng = np.random.default_rng(seed)
    sites = 4.0 * np.array(list(np.ndindex(5, 5, 5)))[:n_atoms]
    return sites + rng.normal(0, 0.2, (n_frames, n_atoms, 3))


def dump(positions, steps, wrapped=False, ids=None):
    """Frames as LAMMPS writes them every 100 steps of 1 fs."""
    text = ["ITEM: UNITS\nmetal\n"]
    names = "x y z" if wrapped else "xu yu zu"
    for frame, step in zip(positions, steps, strict=True):
        ids_here = np.arange(1, len(frame) + 1) if ids is None else ids
        text.append(
            f"ITEM: TIME\n{step * 1e-3:g}\nITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n"
            f"{len(frame)}\nITEM: BOX BOUNDS pp pp pp\n0 {BOX}\n0 {BOX}\n0 {BOX}\n"
            f"ITEM: ATOMS id element {names}\n"
        )
        rows = frame % BOX if wrapped else frame
        text += [f"{i} Li {x:.5f} {y:.5f} {z:.5f}\n" for i, (x, y, z) in zip(ids_here, rows)]  # noqa: B905
    return "".join(text)


def atoms_of(positions, times=None):
    frames = [
        Atoms(f"Li{len(frame)}", positions=frame % BOX, cell=3 * [BOX], pbc=True)
        for frame in positions
    ]
    if times is not None:
        for atoms, time in zip(frames, times, strict=True):
            atoms.info["time_ps"] = time
    return frames


def write_run(path, positions, steps):
    """A run as the format of `path` has it, in ps where it has no steps."""
    if path.suffix == ".dump":
        path.write_text(dump(positions, steps))
    elif path.suffix == ".wrapped":
        path.write_text(dump(positions, steps, wrapped=True))
    else:
        write(path, atoms_of(positions, np.array(steps) * 1e-3))


FORMATS = [".dump", ".wrapped", ".extxyz", ".traj"]
FIRST = walk(100)  # steps 0 to 9900
STEPS = np.arange(100) * 100


def joined(*parts):
    return np.concatenate([p for p, _ in parts]), [int(s) for _, steps in parts for s in steps]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("same", [0, 3])  # frames until the restarted run departs from the first
@pytest.mark.parametrize("reached", [30, 49, 80])  # frames of the restarted run: 30 is behind
def test_a_restart_replaces_what_it_writes_again(tmp_path, suffix, same, reached):
    tail = walk(reached, seed=1, start=FIRST[49 + same])
    again = np.concatenate([FIRST[50 : 50 + same], tail])
    steps = 5000 + 100 * np.arange(len(again))
    path = tmp_path / f"md{suffix}"
    write_run(path, *joined((FIRST, STEPS), (again, steps)))
    found = read_trajectory(path)
    expected = np.concatenate([FIRST[:50], again])
    assert found.n_frames == len(expected)
    assert np.abs(found.displacements() - (expected - expected[0])).max() < 1e-4
    (note,) = found.notes
    assert "restarted run goes back to" in note
    assert "the 50 frames of the interrupted run" in note


def test_restarts_of_restarts(tmp_path):
    second = walk(20, seed=1, start=FIRST[49])  # from step 5000
    third = walk(60, seed=2, start=second[9])  # from step 6000
    parts = (
        (FIRST, STEPS),
        (second, 5000 + 100 * np.arange(20)),
        (third, 6000 + 100 * np.arange(60)),
    )
    write_run(tmp_path / "md.dump", *joined(*parts))
    found = read_trajectory(tmp_path / "md.dump", frame_fs=100.0)
    expected = np.concatenate([FIRST[:50], second[:10], third])
    assert np.abs(found.displacements() - (expected - expected[0])).max() < 1e-4
    assert len(found.notes) == 2


@pytest.mark.parametrize("suffix", FORMATS)
def test_files_of_one_run(tmp_path, suffix):
    again = walk(30, seed=1, start=FIRST[49])
    write_run(tmp_path / f"a{suffix}", FIRST, STEPS)
    write_run(tmp_path / f"b{suffix}", again, 5000 + 100 * np.arange(30))
    found = read_trajectory([tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"])
    assert found.n_frames == 80
    assert f"of b{suffix}" in found.notes[0]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("frame_fs", [None, 100.0])
@pytest.mark.parametrize(
    ("start", "first_step"),
    [(FIRST[-1], 0), (FIRST[-1], 100), (None, 0), (None, 100), (FIRST[-1], 3000)],
)
def test_two_runs_are_refused(tmp_path, suffix, frame_fs, start, first_step):
    second = walk(40, d=0.2, seed=1, start=start)
    steps = first_step + 100 * np.arange(40)
    path = tmp_path / f"md{suffix}"
    write_run(path, *joined((FIRST, STEPS), (second, steps)))
    with pytest.raises(ValueError, match=r"begin again at .* in frame 100.*: two runs") as error:
        read_trajectory(path, frame_fs)
    assert path.name in str(error.value)


def test_two_runs_of_a_solid_are_refused(tmp_path):
    first, second = solid(100), solid(50, seed=1)
    for begin in (0, 100):
        steps = begin + 100 * np.arange(50)
        write_run(tmp_path / "md.dump", *joined((first, STEPS), (second, steps)))
        with pytest.raises(ValueError, match="two runs"):
            read_trajectory(tmp_path / "md.dump")


def test_a_restart_of_a_solid(tmp_path):
    first = solid(100)
    again = np.concatenate([first[50:52], solid(30, seed=1)])
    steps = 5000 + 100 * np.arange(32)
    write_run(tmp_path / "md.dump", *joined((first, STEPS), (again, steps)))
    assert read_trajectory(tmp_path / "md.dump").n_frames == 82


def test_a_run_begun_anew_replaces_the_whole(tmp_path):
    again = np.concatenate([FIRST[:1], walk(40, seed=1, start=FIRST[0])])
    write_run(tmp_path / "md.dump", *joined((FIRST, STEPS), (again, 100 * np.arange(41))))
    found = read_trajectory(tmp_path / "md.dump")
    assert found.n_frames == 41
    assert "the 100 frames" in found.notes[0]


def test_without_times_a_frame_written_again_shows_the_restart(tmp_path):
    again = np.concatenate([FIRST[50:51], walk(30, seed=1, start=FIRST[50])])
    with AseTrajectory(tmp_path / "md.traj", "w") as file:
        for atoms in atoms_of(np.concatenate([FIRST, again])):
            file.write(atoms)
    found = read_trajectory(tmp_path / "md.traj", frame_fs=100.0)
    assert found.n_frames == 81
    assert "frame 100 repeats frame 50" in found.notes[0]


def test_without_times_a_jump_shows_two_runs(tmp_path):
    write(tmp_path / "md.extxyz", atoms_of(np.concatenate([walk(50, 0.1), walk(50, 0.1, seed=1)])))
    with pytest.raises(ValueError, match=r"atoms jump by .* frame 49 to frame 50"):
        read_trajectory(tmp_path / "md.extxyz", frame_fs=100.0)


def test_wrapped_atoms_without_a_cell_are_noted(tmp_path):
    for wrap in (False, True):
        frames = atoms_of(walk(40, 0.1, seed=3))
        if not wrap:
            frames = [Atoms(f"Li{len(x)}", positions=x) for x in walk(40, 0.1, seed=3)]
        for atoms in frames:
            atoms.set_cell(None)
            atoms.pbc = False
        write(tmp_path / "md.xyz", frames)
        notes = read_trajectory(tmp_path / "md.xyz", frame_fs=100.0).notes
        assert [("is not periodic" in note) for note in notes] == [True] * wrap


def test_atoms_at_rest_are_no_restart(tmp_path):
    write(tmp_path / "md.extxyz", atoms_of(np.repeat(FIRST[:1], 20, axis=0)))
    found = read_trajectory(tmp_path / "md.extxyz", frame_fs=100.0)
    assert found.n_frames == 20
    assert not found.notes


def test_lost_atoms_are_named(tmp_path):
    kept = np.delete(np.arange(30), [4, 16])
    text = dump(FIRST[:20], STEPS[:20]) + dump(FIRST[20:40, kept], STEPS[20:40], ids=kept + 1)
    (tmp_path / "md.dump").write_text(text)
    message = r"frame 20 \(step 2000\) lacks 2 atoms \(5, 17\) compared with frame 0 \(step 0\)"
    with pytest.raises(ValueError, match=message):
        read_trajectory(tmp_path / "md.dump")


def test_a_restart_from_before_atoms_were_lost(tmp_path):
    again = walk(80, seed=1, start=FIRST[9])
    text = dump(FIRST[:20], STEPS[:20]) + dump(FIRST[20:40, 5:], STEPS[20:40], ids=np.arange(6, 31))
    (tmp_path / "md.dump").write_text(text + dump(again, 1000 + 100 * np.arange(80)))
    assert read_trajectory(tmp_path / "md.dump").n_frames == 90


@pytest.mark.parametrize("cut", range(1, 900, 37))  # characters that a killed run did not write
def test_a_frame_cut_short_before_a_restart(tmp_path, cut):
    again = walk(30, seed=1, start=FIRST[49])
    text = dump(FIRST[:60], STEPS[:60])[:-cut] + dump(again, 5000 + 100 * np.arange(30))
    (tmp_path / "md.dump").write_text(text)
    found = read_trajectory(tmp_path / "md.dump")
    assert found.n_frames == 80
    assert "frame 59 (step 5900) is cut short" in found.notes[0]


def test_a_compressed_dump_cut_short(tmp_path):
    whole = gzip.compress(dump(FIRST, STEPS).encode())
    (tmp_path / "md.dump.gz").write_bytes(whole[: len(whole) // 2])
    found = read_trajectory(tmp_path / "md.dump.gz")
    assert 40 < found.n_frames < 60
    assert "cut short" in found.notes[0]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_change_of_the_interval_is_named(tmp_path, suffix):
    steps = np.concatenate([STEPS[:50], STEPS[49] + 20 * np.arange(1, 51)])
    write_run(tmp_path / f"md{suffix}", FIRST, steps)
    for frame_fs in (None, 100.0):
        with pytest.raises(ValueError, match="not equally spaced in time"):
            mean_square_displacement(read_trajectory(tmp_path / f"md{suffix}", frame_fs))


def test_an_interval_that_contradicts_the_file_is_noted(tmp_path):
    write_run(tmp_path / "md.extxyz", FIRST, STEPS)
    found = read_trajectory(tmp_path / "md.extxyz", frame_fs=10.0)
    assert found.notes == ("the file records 100 fs between frames, frame_fs = 10 is used",)
    assert not read_trajectory(tmp_path / "md.extxyz", frame_fs=100.0).notes


def test_a_single_run_has_no_notes(tmp_path):
    for suffix in FORMATS:
        write_run(tmp_path / f"md{suffix}", FIRST, STEPS)
        found = read_trajectory(tmp_path / f"md{suffix}")
        assert not found.notes
        assert diffusion_coefficient(found, "Li").coefficient == pytest.approx(2e-4, rel=0.2)


@pytest.mark.parametrize(("step", "said"), [(3.0, True), (0.3, False)])
def test_steps_of_half_a_cell_are_named(tmp_path, step, said):
    rng, frames = np.random.default_rng(0), []
    path = rng.normal(0, step, (40, 20, 3)).cumsum(axis=0)
    for number, positions in enumerate(path):
        atoms = Atoms("Li20", positions=positions % 12.0, cell=[12.0] * 3, pbc=True)
        atoms.info["time_ps"] = 0.1 * number
        frames.append(atoms)
    write(tmp_path / "md.extxyz", frames)
    notes = read_trajectory(tmp_path / "md.extxyz").notes
    assert any("nearly half a cell" in note for note in notes) is said
