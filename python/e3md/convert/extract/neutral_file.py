"""Arrays with a JSON header in the safetensors format, and the command line of extraction scripts.

Needs only numpy, and ASE where structures are read: it runs in the environment of the program that
wrote a model, beside the script that imports it.
"""

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np

HEADER_KEY = "e3md"
_TYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}


class Unsupported(Exception):  # noqa: N818 (reads as what it says)
    """The source has something that e3md cannot represent; the message names it."""


def write(path, header, arrays):
    """Write arrays (name -> ndarray) and a header (JSON object) as one safetensors file."""
    entries: dict = {"__metadata__": {HEADER_KEY: json.dumps(header)}}
    data, offset = [], 0
    for name, array in arrays.items():
        array = np.asarray(array)
        dtype = array.dtype.newbyteorder("<") if array.dtype.byteorder == ">" else array.dtype
        raw = np.ascontiguousarray(array, dtype).tobytes()
        entries[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(raw)],
        }
        data.append(raw)
        offset += len(raw)
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))


def read(path):
    """The header and the arrays of a file that `write` made."""
    raw = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    entries = json.loads(raw[8 : 8 + size])
    header = json.loads(entries.pop("__metadata__")[HEADER_KEY])
    arrays = {}
    for name, entry in entries.items():
        begin, end = (8 + size + n for n in entry["data_offsets"])
        array = np.frombuffer(raw[begin:end], _TYPES[entry["dtype"]])
        arrays[name] = array.reshape(entry["shape"]).copy()
    return header, arrays


def pack_structures(structures):
    """ASE structures as arrays to write."""
    arrays = {}
    for k, atoms in enumerate(structures):
        arrays[f"{k}.numbers"] = atoms.numbers.astype(np.int64)
        arrays[f"{k}.positions"] = atoms.positions
        arrays[f"{k}.cell"] = atoms.cell.array
        arrays[f"{k}.pbc"] = atoms.pbc
    return arrays


def unpack_structures(arrays):
    """The ASE structures that `pack_structures` packed."""
    from ase import Atoms

    structures: list = []
    while f"{len(structures)}.numbers" in arrays:
        k = len(structures)
        structures.append(
            Atoms(
                arrays[f"{k}.numbers"],
                positions=arrays[f"{k}.positions"],
                cell=arrays[f"{k}.cell"],
                pbc=arrays[f"{k}.pbc"],
            )
        )
    return structures


def linear_blocks(module, name, arrays):
    """An e3nn Linear: one array per pair of blocks, named by their places, normalization included."""
    if module.bias.numel():
        raise Unsupported(f"biases in {name}")
    offset = 0
    for instruction in module.instructions:
        size = int(np.prod(instruction.path_shape))
        weight = module.weight[offset : offset + size].reshape(instruction.path_shape)
        weight = weight.detach().double().cpu().numpy() * instruction.path_weight
        arrays[f"{name}.{instruction.i_in}.{instruction.i_out}"] = weight
        offset += size


def gate_gains(gate, functions):
    """Gains of silu (even scalars, gates) and tanh (odd scalars) in an e3nn Gate; None if not used.

    functions: what the program may use for them, {"silu": ..., "tanh": ...}.
    """
    found: dict = {"silu": None, "tanh": None}
    for activation, irreps, where in (
        (gate.act_scalars, gate.irreps_scalars, "scalars"),
        (gate.act_gates, gate.irreps_gates, "gates"),
    ):
        for act, (_, irrep) in zip(activation.acts, irreps):  # noqa: B905 (also before 3.10)
            name = "silu" if irrep.p == 1 else "tanh"
            if act.f is not functions[name] or (where == "gates" and irrep.p != 1):
                raise Unsupported(f"the activation {act.f} of {irrep} {where}")
            found[name] = float(act.cst)
    return [found["silu"], found["tanh"]]


def tensor_product_paths(tp):
    """Irreps of feature, harmonic and message of each path, in the order of its weights."""
    for instruction in tp.instructions:
        irrep = tp.irreps_out[instruction.i_out].ir
        if abs(instruction.path_weight - irrep.dim**0.5) > 1e-9:
            raise Unsupported(f"a tensor product path of weight {instruction.path_weight}")
    return [
        [
            str(tp.irreps_in1[i.i_in1].ir),
            str(tp.irreps_in2[i.i_in2].ir),
            str(tp.irreps_out[i.i_out].ir),
        ]
        for i in tp.instructions
    ]


def with_calculator(structures, calculator):
    """Energy (eV), forces (eV/Å) and, for periodic cells, stress (3, 3) (eV/Å³) by an ASE calculator."""
    arrays = {}
    for k, atoms in enumerate(structures):
        atoms.calc = calculator
        arrays[f"{k}.energy"] = np.array(atoms.get_potential_energy(), dtype=np.float64)
        arrays[f"{k}.forces"] = np.asarray(atoms.get_forces(), dtype=np.float64)
        if atoms.pbc.all():
            arrays[f"{k}.stress"] = np.asarray(atoms.get_stress(voigt=False), dtype=np.float64)
    return arrays


def main(extract, evaluate):
    """Command line of a script: `extract SOURCE OUTPUT` or `evaluate SOURCE OUTPUT STRUCTURES`.

    extract(path, head) -> (header, arrays): source, version, dtype, hyperparameters; and weights.
    evaluate(path, head, structures) -> (dtype, arrays): results as `with_calculator` gives them, and
    the arithmetic they were made in, "float32" or "float64".
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=["extract", "evaluate"])
    parser.add_argument("source")
    parser.add_argument("output")
    parser.add_argument("structures", nargs="?")
    parser.add_argument("--head")
    args = parser.parse_args()
    try:
        if args.task == "extract":
            write(args.output, *extract(args.source, args.head))
        else:
            structures = unpack_structures(read(args.structures)[1])
            dtype, arrays = evaluate(args.source, args.head, structures)
            write(args.output, {"dtype": dtype}, {**pack_structures(structures), **arrays})
    except Unsupported as error:
        sys.exit(f"unsupported: {error}")
