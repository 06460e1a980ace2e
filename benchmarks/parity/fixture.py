"""A foreign model in neutral form with its program's results, for tests/data/neutral.

python benchmarks/parity/fixture.py MODEL -o OUTPUT.safetensors --python OTHER/bin/python
"""

import argparse
import tempfile
from pathlib import Path

from e3md.convert.detect import detect
from e3md.convert.extract import neutral_file
from e3md.convert.neutral import Neutral
from e3md.convert.peer import Peer
from e3md.structures import perturbed_structures

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model", type=Path)
parser.add_argument("-o", "--output", type=Path, required=True)
parser.add_argument("--python", type=Path, required=True)
parser.add_argument("--head")
args = parser.parse_args()

peer = Peer(
    detect(args.model),
    args.model.resolve(),
    args.python,
    args.output.with_suffix(".log"),
    args.head,
)
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    peer.extract(folder / "neutral.safetensors")
    header, weights = neutral_file.read(folder / "neutral.safetensors")
    species = peer.source.build(Neutral.read(folder / "neutral.safetensors")).statistics.species
    dtype, _ = peer.evaluate(perturbed_structures(species), folder)
    _, results = neutral_file.read(folder / "results.safetensors")
arrays = {f"weights/{name}": array for name, array in weights.items()}
arrays |= {f"references/{name}": array for name, array in results.items()}
neutral_file.write(args.output, {**header, "tolerance": dtype}, arrays)
print(f"{args.output}: {args.output.stat().st_size / 1000:.0f} kB")
