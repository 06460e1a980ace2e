"""Files of other programs are told apart by their structure, never loaded, never by words in them."""

import importlib
import io
import json
import pickle
import sys
import zipfile
from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from e3md.convert import ConversionError
from e3md.convert.detect import detect
from e3md.convert.extract import neutral_file
from e3md.convert.skeleton import skeletons

SEVENNET = {
    "model_state_dict": OrderedDict({"onehot_to_feature_x.linear.weight": torch.zeros(2)}),
    "config": {"_model_type": "E3_equivariant_model", "_type_map": {6: 0}},
    "epoch": 3,
}
NEQUIP = {
    "state_dict": OrderedDict({"sole_model.x": torch.zeros(2)}),
    "hyper_parameters": {"info_dict": {"training_module": {"_target_": "nequip.train.X"}}},
}
MACE_WEIGHTS = OrderedDict(
    {
        f"{name}.weight": torch.zeros(2)
        for name in (
            "node_embedding.linear", "interactions.0.linear_up",
            "products.0.symmetric_contractions.contractions.0",
        )
    }
)  # fmt: skip
NEQUIX = {"hidden_irreps": "8x0e", "atomic_numbers": [1, 8], "cutoff": 5.0}


def write(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def stranger(monkeypatch: pytest.MonkeyPatch, path: str) -> type:
    """A class that pickles by a path of a package which is not installed."""
    module, _, name = path.rpartition(".")
    parts = module.split(".")
    for k in range(len(parts)):
        package = ".".join(parts[: k + 1])
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    kind = type(name, (), {"__module__": module})
    setattr(sys.modules[module], name, kind)
    return kind


def script(path: Path, module: str, extra: tuple[str, ...] = ()) -> Path:
    """The layout of a TorchScript archive whose module has a class in `module`."""
    pickled = f"\x80\x02c__torch__.{module}\nModel\n)\x81.".encode("latin1")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", pickled)
        archive.writestr(f"m/code/__torch__/{module.replace('.', '/')}.py", "")
        for name in extra:
            archive.writestr(f"m/extra/{name}", "1")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        detect(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "pickles"])
def test_checkpoints_are_told_by_their_keys(tmp_path: Path, legacy: bool) -> None:
    for name, content in (("sevennet", SEVENNET), ("nequip", NEQUIP)):
        path = tmp_path / "x.bin"
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        assert detect(path).name == name


@pytest.mark.parametrize("word", ["nequip", "mace", "matgl", "schnetpack", "mace.modules.models"])
def test_a_word_in_a_value_decides_nothing(tmp_path: Path, word: str) -> None:
    config = {**SEVENNET["config"], "self_connection_type": word, word: word}
    assert (
        detect(write(tmp_path / f"{word}.pth", {**SEVENNET, "config": config})).name == "sevennet"
    )
    refusal(write(tmp_path / "x.pth", {"about": word, word: [word]}))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("mace.modules.models.ScaleShiftMACE", "mace"),
        ("schnetpack.model.base.NeuralNetworkPotential", "schnetpack"),
        ("schnetpack.task.AtomisticTask", "schnetpack"),
    ],
)
def test_models_are_told_by_their_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, source: str
) -> None:
    file = write(tmp_path / "m.bin", stranger(monkeypatch, path)())
    assert detect(file).name == source
    file = write(tmp_path / "d.bin", {"model": stranger(monkeypatch, path)()})
    assert "holds a model" in refusal(file)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("mace.calculators.lammps_mliap_mace.LAMMPS_MLIAP_MACE", "ML-IAP.*the .model file"),
        ("sevenn.mliap.SevenNetMLIAP", "SevenNet.*checkpoint_best.pth"),
        ("nequip.integrations.lammps_mliap.X", "NequIP.*best.ckpt"),
        ("matgl.ext.lammps.Wrapper", "matgl.*folder"),
        ("fairchem.core.units.mlip_unit.X", "no converter for fairchem"),
        ("orb_models.forcefield.X", "no converter for ORB"),
        ("somebody.else.Model", "class somebody.else.Model"),
    ],
)
def test_other_pickled_modules_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    file = write(tmp_path / "m.bin", stranger(monkeypatch, path)())
    with pytest.raises(ConversionError, match=words):
        detect(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (MACE_WEIGHTS, "weights alone.*mace-torch.*the .model file"),
        (
            {"model": MACE_WEIGHTS, "optimizer": {}, "lr_scheduler": {}},
            "checkpoint of training.*mace-torch.*the .model file",
        ),
        ({f"module.{k}": v for k, v in MACE_WEIGHTS.items()}, "mace-torch"),
        (SEVENNET["model_state_dict"], "weights alone.*SevenNet.*checkpoint_best.pth"),
        (
            {"representation.embedding.weight": 0, "output_modules.0.outnet.0.bias": 0},
            "SchNetPack.*best_model",
        ),
        (
            {
                "state_dict": {"model.representation.a": 0, "model.output_modules.0": 0},
                "hyper_parameters": {},
            },
            "checkpoint.*SchNetPack.*best_model",
        ),
        ({"data_mean": 0, "model.embedding.weight": 0}, "matgl.*folder"),
        ({"model": {"state_dict": {}, "model_args": {}}}, "no converter for CHGNet"),
        ({"model": {"model.Default.atomic_model.x": 0}}, "no converter for DeePMD-kit"),
        ({"architecture_name": "pet", "model_data": {}}, "no converter for metatrain"),
        ({"encoder.0.weight": 0, "decoder.0.weight": 0}, "dictionary of weights.*encoder.0"),
    ],
)
def test_checkpoints_without_a_model_are_named(tmp_path: Path, content: Any, words: str) -> None:
    file = write(tmp_path / "c.pt", content)
    with pytest.raises(ConversionError, match=words):
        detect(file)


@pytest.mark.parametrize(
    ("module", "extra", "words"),
    [
        ("mace.calculators.lammps_mace", (), "MACE.*for LAMMPS.*the .model file"),
        ("mace.modules.models", ("config.yaml",), "MACE.*compiled.*the .model file"),
        ("nequip.nn.graph_model", ("r_max",), "NequIP.*nequip-compile.*best.ckpt"),
        ("sevenn.nn.sequential", ("version", "comm_size"), "parallel LAMMPS.*checkpoint_best"),
        ("schnetpack.model.base", (), "spkdeploy.*best_model"),
        ("deepmd.pt.model", (), "no converter for DeePMD-kit"),
        ("metatomic.torch.model", (), "no converter for metatomic"),
        ("somebody.net", (), "TorchScript module.*somebody.net"),
        ("somebody.net", ("e3md.json",), "model of e3md.*nothing to convert"),
    ],
)
def test_compiled_models_are_named(
    tmp_path: Path, module: str, extra: tuple[str, ...], words: str
) -> None:
    file = script(tmp_path / "m.pt", module, extra)
    with pytest.raises(ConversionError, match=words):
        detect(file)


@pytest.mark.parametrize(
    ("version", "kind", "refused"),
    [
        ("0.9.3.post1", "E3_equivariant_model", None),
        ("0.10", "E3_equivariant_model", None),
        ("0.11.0", "E3_equivariant_model", "deployed by sevenn 0.11.0, .* convert the checkpoint"),
        ("1.10.2", "E3_equivariant_model", "deployed by sevenn 1.10.2"),
        ("", "E3_equivariant_model", r"deployed by sevenn \(no version\)"),
        ("0.9.3", "other_model", "deployed model other_model of sevenn 0.9.3"),
    ],
)
def test_deployed_sevennet_of_known_releases_alone(
    version: str, kind: str, refused: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(neutral_file.__file__).parent)
    program = importlib.import_module("sevennet_deployed_model")
    unsupported = pytest.raises(program.Unsupported, match=refused) if refused else nullcontext()
    with unsupported:
        program.check_release({"version": version, "model_type": kind})


def test_deployed_sevennet_is_read(tmp_path: Path) -> None:
    assert detect(script(tmp_path / "m.pt", "sevenn.nn.sequential", ("version",))).runs_code


def test_packages_and_compiled_nequip(tmp_path: Path) -> None:
    for name, entry, words in (
        ("m.nequip.zip", "m/.data/extern_modules", None),
        ("m.zip", "m/.data/extern_modules", "call it NAME.nequip.zip"),
        ("m.nequip.pt2", "m/data/aotinductor/model/x.so", "AOTInductor.*best.ckpt"),
        ("pictures.zip", "m/a.png", "archive without a model"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(entry, "")
            archive.writestr("m/nequip/nn/graph_model.py", "")
        if words is None:
            assert detect(tmp_path / name).name == "nequip"
        else:
            with pytest.raises(ConversionError, match=words):
                detect(tmp_path / name)


def test_nequix_is_told_by_its_header(tmp_path: Path) -> None:
    line = json.dumps(NEQUIX).encode() + b"\n"
    array, weights = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros(3))
    torch.save(OrderedDict({"a.b": torch.zeros(2)}), weights)
    (tmp_path / "any.name").write_bytes(line + array.getvalue())
    assert detect(tmp_path / "any.name").name == "nequix"
    (tmp_path / "torch.pt").write_bytes(line + weights.getvalue())
    assert "torch backend" in refusal(tmp_path / "torch.pt")
    (tmp_path / "x.nqx").write_bytes(b"{}\n")
    assert "not a model" in refusal(tmp_path / "x.nqx")


def test_folders(tmp_path: Path) -> None:
    description = {"@class": "Potential", "@module": "matgl.apps.pes", "kwargs": {}}
    (tmp_path / "model.json").write_text(json.dumps(description))
    assert "needs state.pt" in refusal(tmp_path)
    write(tmp_path / "state.pt", {})
    assert detect(tmp_path).name == "matgl"
    (tmp_path / "model.json").write_text(json.dumps({"about": "matgl"}))
    assert "without a model" in refusal(tmp_path)
    write(tmp_path / "best.ckpt", NEQUIP)
    assert "Give one of its files: best.ckpt" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html>", "web page"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04 and no end", "ends too early"),
        (b"\x80\x02X\xff\xff\xff\x7f", "not a model"),
        (b"Lattice\n", "not a model"),
    ],
)
def test_what_is_no_model_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "m.pt").write_bytes(content)
    assert words in refusal(tmp_path / "m.pt")


def test_a_damaged_archive_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "m.pt", SEVENNET)
    content = bytearray(path.read_bytes())
    content[content.index(b"_type_map")] ^= 1
    path.write_bytes(content)
    assert "damaged archive" in refusal(path)


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("the pickle was loaded",)


def test_no_code_of_a_pickle_runs() -> None:
    ((root, classes),) = skeletons(pickle.dumps({"a": Trap(), "b": [Trap()]}))
    assert list(root) == ["a", "b"]
    assert len(classes) == 1


def test_a_pickle_cannot_ask_for_memory() -> None:
    """A memo index of 2³², for which Python's unpickler in C would take 64 GB."""
    hungry = b"\x80\x02}r" + (2**32 - 1).to_bytes(4, "little") + b"."
    assert [root for root, _ in skeletons(hungry)] == [{}]
