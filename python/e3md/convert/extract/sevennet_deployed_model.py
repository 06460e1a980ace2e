"""Hyperparameters and weights of a model that SevenNet deployed for serial LAMMPS (TorchScript).

The weights are constants of the frozen code, which is read as text; torch alone is needed. Models
with parity are refused: their blocks cannot be told apart there (convert the checkpoint instead).
"""

import re

import numpy as np
import torch
from neutral_file import Unsupported, main

PASSED_ON = re.compile(r'torch\._set_item\(data, "(\w+)"')
MATRIX = re.compile(r"torch\.tensordot\(\w+, CONSTANTS\.(c\d+), \[1\], \[0\]\)")
RESHAPED = re.compile(r"torch\.reshape\(CONSTANTS\.(c\d+), \[(\d+), (\d+)\]\)")
NARROWED = re.compile(r"(\w+) = torch\.narrow\(CONSTANTS\.(c\d+), -1, (\d+), (\d+)\)")
FLAT = re.compile(r"(\w+) = torch\.reshape\(CONSTANTS\.(c\d+), \[-1, \d+\]\)")
AGAIN = re.compile(r"torch\.reshape\((\w+), \[(\d+), (\d+)\]\)")
BLOCK = re.compile(r"torch\.reshape\(\w+, \[getitem_\d+, (\d+), (\d+)\]\)")
RADIAL = re.compile(r"torch\.matmul\(\S+, CONSTANTS\.(c\d+)\)")
DIVISOR = re.compile(r"torch\.div\(\w+, CONSTANTS\.(c\d+)\)")
GAIN = re.compile(r"torch\.mul\((?:torch\.silu\(\w+\)|\w+), CONSTANTS\.(c\d+)\)")
PER_SPECIES = re.compile(r"torch\.index\(CONSTANTS\.(c\d+),")
FIRST = re.compile(r"torch\.sin\(torch\.mul\(CONSTANTS\.(c\d+), \w+\)\)")


def load(path):
    """Code, constants as float64 arrays, and the extra files."""
    extra: dict = dict.fromkeys(
        ("cutoff", "chemical_symbols_to_index", "version", "model_type"), ""
    )
    model = torch.jit.load(path, map_location="cpu", _extra_files=extra)
    code, constants = model.code_with_constants
    arrays = {n: t.double().numpy() for n, t in constants.const_mapping.items()}
    return model, code, arrays, {name: bytes(value).decode() for name, value in extra.items()}


class Segment:
    """The code of one module: up to where it passes its result on."""

    def __init__(self, lines, constants):
        self.text = "\n".join(lines)
        self.constants = constants
        self.matrices, self.blocks, parts = [], [], {}
        for line in lines:
            for name, constant, begin, size in NARROWED.findall(line):
                parts[name] = constants[constant].reshape(-1)[int(begin) : int(begin) + int(size)]
            for name, constant in FLAT.findall(line):
                parts[name] = constants[constant].reshape(-1)
            found = [constants[c] for c in MATRIX.findall(line)]
            found += [constants[c].reshape(int(m), int(n)) for c, m, n in RESHAPED.findall(line)]
            found += [
                parts[name].reshape(int(m), int(n))
                for name, m, n in AGAIN.findall(line)
                if name in parts
            ]
            self.matrices += found
            self.blocks += [(int(mul), int(dim)) for mul, dim in BLOCK.findall(line)]

    def constant(self, pattern):
        return [self.constants[name] for name in pattern.findall(self.text)]

    def linear(self):
        """Matrices with e3nn's normalization, and (multiplicity, 2l+1) of their inputs."""
        if len(self.matrices) > len(self.blocks):
            raise Unsupported("a linear layer whose blocks cannot be read")
        scaled = [m / np.sqrt(len(m)) for m in self.matrices]
        return scaled, self.blocks[: len(self.matrices)]


def segments(code, constants):
    """(what it passes on, Segment) of each module that has constants."""
    lines, found = [], []
    for line in code.splitlines():
        lines.append(line)
        key = PASSED_ON.search(line)
        if key:
            if any("CONSTANTS" in text for text in lines):
                found.append((key.group(1), Segment(lines, constants)))
            lines = []
    return found


def irreps(blocks):
    """ "128x0e+64x1e" from multiplicities and 2l+1."""
    degrees = [(dim - 1) // 2 for _, dim in blocks]
    if degrees != list(range(len(blocks))):
        raise Unsupported("a model with parity: convert its checkpoint instead")
    return "+".join(f"{mul}x{degree}e" for (mul, _), degree in zip(blocks, degrees))  # noqa: B905


def store(name, matrices, arrays):
    for k, matrix in enumerate(matrices):
        arrays[f"{name}.{k}.{k}"] = matrix


def paths(l_in, l_edge, l_out):
    """All products kept, in the order SevenNet 0.9 and 0.10 gave them weights."""
    return [
        [f"{a}e", f"{b}e", f"{c}e"]
        for a in range(l_in + 1)
        for b in range(l_edge + 1)
        for c in range(abs(a - b), a + b + 1)
        if c <= l_out
    ]


def layer(n, parts, l_edge, arrays):
    """parts: self-connection (or None), self-interaction 1, convolution, 2, and gate."""
    connection, first, convolution, second, gate = parts
    matrices, inputs = first.linear()
    store(f"{n}.linear_1", matrices, arrays)
    down, _ = second.linear()
    store(f"{n}.linear_2", down, arrays)
    if connection is not None:
        shared, _ = connection.linear()
        store(f"{n}.sc", shared, arrays)
    radial, gains = convolution.constant(RADIAL), convolution.constant(GAIN)
    for k, weight in enumerate(radial):
        arrays[f"{n}.radial.{k}"] = weight * (float(gains[k - 1]) if k else 1.0)
    (divisor,) = convolution.constant(DIVISOR)
    arrays[f"{n}.norms"] = 1.0 / divisor.reshape(-1)
    dims = [2 * degree + 1 for degree in range(len(down))]
    sent = [(m.shape[1], dim) for m, dim in zip(down, dims)]  # noqa: B905 (also before 3.10)
    gated = sent[1:]
    n_gates = sum(mul for mul, _ in gated)
    out = [(sent[0][0] - n_gates, 1), *gated]
    silu = {float(g) for g in gate.constant(GAIN)}
    if len(silu) != 1:
        raise Unsupported(f"gates with the gains {sorted(silu)}")
    return [len(w[0]) for w in radial[:-1]], {
        "irreps_in": irreps(inputs),
        "irreps_mid": irreps([(len(m), d) for m, d in zip(down, dims)]),  # noqa: B905
        "irreps_gated": irreps(sent),
        "irreps_out": irreps(out),
        "gated": irreps([(1, 1), *gated]).partition("+")[2],
        "paths": paths(len(inputs) - 1, l_edge, len(down) - 1),
        "gains": [silu.pop(), None],
        "self_connection": "none" if connection is None else "shared",
    }


def split_layers(found):
    """[(self-connection, first, convolution, second, gate)] from the segments between the ends."""
    layers, at = [], 0
    while at < len(found):
        connection = found[at][1] if found[at][0] == "self_cont_tmp" else None
        at += connection is not None
        layers.append((connection, *(segment for _, segment in found[at : at + 4])))
        at += 4
    return layers


def radial(code, extra, arrays):
    smooth = re.search(r"torch\.lt\(r, ([\d.]+)\)", code)
    power = re.search(r"torch\.pow\(r\d*, (\d+)\)", code)
    found = {"cutoff": float(extra["cutoff"]), "pair_cutoffs": {}, "envelope_power": 6}
    found["n_bessel"] = len(arrays["wavenumbers"])
    if smooth:
        return {**found, "xplor_on": float(smooth.group(1))}
    if not power:
        raise Unsupported("a cutoff function that is neither XPLOR nor polynomial")
    return {**found, "envelope_power": int(power.group(1))}


def check_release(extra):
    if extra["model_type"] != "E3_equivariant_model":
        raise Unsupported(f"the deployed model {extra['model_type']} of sevenn {extra['version']}")
    if not re.match(r"0\.(9|10)(\.|$)", extra["version"]):
        raise Unsupported(
            f"files deployed by sevenn {extra['version'] or '(no version)'}, only by 0.9 and 0.10: convert "
            "the checkpoint that it was made from instead"
        )


def extract(path, head):
    if head is not None:
        raise Unsupported(f"head '{head}': a deployed model has one")
    _, code, constants, extra = load(path)
    check_release(extra)
    found = segments(code, constants)
    keys = [key for key, _ in found]
    begin, end = keys.index("x"), keys.index("scaled_atomic_energy")
    embedding, *inner = found[begin : end - 1]
    (basis,) = FIRST.findall(code)
    arrays = {"wavenumbers": constants[basis].reshape(-1)}
    (arrays["embedding"],) = embedding[1].linear()[0]
    l_edge = len(re.findall(r"sh_\d+_0 = ", code)) - 1
    described = [layer(n, parts, l_edge, arrays) for n, parts in enumerate(split_layers(inner))]
    (hidden,), (last,) = (found[k][1].linear()[0] for k in (end - 1, end))
    arrays["readout.0"] = hidden @ last
    arrays["scales"], arrays["shifts"] = found[keys.index("atomic_energy")][1].constant(PER_SPECIES)
    hyperparameters = {
        **radial(code, extra, arrays),
        "species": extra["chemical_symbols_to_index"].split(),
        "l_max": l_edge,
        "layers": [description for _, description in described],
        "radial_hidden": described[0][0],
        "readout_hidden": [],
        "zbl": False,
        "parity": "none",
        "solid_harmonics": "torch.select(rvec, -1, 0)" in code,
    }
    header = {"source": "sevennet_deployed", "version": extra["version"], "dtype": "float32"}
    return {**header, "hyperparameters": hyperparameters}, arrays


def evaluate(path, head, structures):
    """The frozen code runs in float32."""
    from ase.geometry import complete_cell
    from ase.neighborlist import neighbor_list

    model, _, _, extra = load(path)
    species = extra["chemical_symbols_to_index"].split()
    cutoff, results = float(extra["cutoff"]), {}
    for k, atoms in enumerate(structures):
        i, j, shift = neighbor_list("ijS", atoms, cutoff)
        cell = complete_cell(atoms.cell) if atoms.cell.rank else np.zeros((3, 3))
        if not len(i):  # some releases need an edge: one at the cutoff adds nothing
            i, j, shift, cell = [0], [0], [[1, 0, 0]], cutoff * np.eye(3)
        found = model(
            {
                "x": torch.tensor([species.index(symbol) for symbol in atoms.symbols]),
                "pos": torch.tensor(atoms.positions, dtype=torch.float32).requires_grad_(),
                "edge_index": torch.tensor(np.stack([i, j])),
                "pbc_shift": torch.tensor(shift, dtype=torch.float32),
                "cell_lattice_vectors": torch.tensor(cell, dtype=torch.float32),
                "cell_volume": torch.tensor(max(abs(np.linalg.det(cell)), 1.0)),
            }
        )
        results[f"{k}.energy"] = found["inferred_total_energy"].detach().double().numpy()
        results[f"{k}.forces"] = found["inferred_force"].detach().double().numpy()
        if atoms.pbc.all():
            xx, yy, zz, xy, yz, zx = -found["inferred_stress"].detach().double().numpy()
            results[f"{k}.stress"] = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])
    return "float32", results


if __name__ == "__main__":
    main(extract, evaluate)
