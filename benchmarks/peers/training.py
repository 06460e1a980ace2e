"""What runs in the environment of a peer, whichever it is.

    training_NAME.py curve SETUP FOLDER   its own training, then that of e3md, on the same batches
    training_NAME.py time SETUP DTYPE MODE BATCHES REPEATS

The last line printed is JSON.
"""

import json
import sys
from pathlib import Path

import torch
from ase.io import read
from steps import adam, loss, seconds_per_step


class Batch:
    """Inputs of the program, and labels."""

    def __init__(self, inputs, frames, dtype):
        self.inputs = inputs
        self.energy = torch.tensor([a.get_potential_energy() for a in frames], dtype=dtype)
        self.forces = torch.cat([torch.tensor(a.get_forces(), dtype=dtype) for a in frames])
        self.n_atoms = torch.tensor([len(a) for a in frames])


def batches(program, setup, dtype, n):
    frames = read(setup["frames"], ":")
    size = setup["batch_size"]
    groups = [frames[k : k + size] for k in range(0, n * size, size)]
    return [Batch(program.inputs(setup, group, dtype), group, dtype) for group in groups]


def train_step(program, model, optimizer, batch, scale):
    optimizer.zero_grad()
    value = loss(*program.predict(model, batch.inputs), batch, scale)
    value.backward()
    optimizer.step()
    return value


def own_losses(program, setup):
    """Of every step, before it is taken."""
    model = program.build(setup, torch.float64)
    optimizer = adam(model)
    given = batches(program, setup, torch.float64, setup["steps"])
    return [train_step(program, model, optimizer, b, setup["scale"]).item() for b in given]


def follow_e3md(program, setup, folder):
    """Adam on the peer's weights with e3md's gradients.

    The weights go out as `e3md convert` reads them, and the gradients that come back pass through
    this reading in reverse: so both optimizers move the same coordinates.
    """
    sys.path.insert(0, setup["extract"])
    import neutral_file

    model = program.build(setup, torch.float64)
    optimizer = adam(model)
    for _ in range(setup["steps"]):
        header, arrays = program.extract(model)
        trained = {name: a for name, a in arrays.items() if isinstance(a, torch.Tensor)}
        plain = {name: a.detach().numpy() for name, a in trained.items()}
        header["trained"] = sorted(trained)
        neutral_file.write(folder / "weights.safetensors", header, {**arrays, **plain})
        print("weights", flush=True)
        sys.stdin.readline()
        _, gradients = neutral_file.read(folder / "gradients.safetensors")
        optimizer.zero_grad()
        torch.autograd.backward(
            [trained[name] for name in gradients],
            [torch.from_numpy(gradients[name]) for name in gradients],
        )
        optimizer.step()


def keep_graph(tensor):
    """In place of an extraction script's `array`: what is trained stays in the graph."""
    return tensor if tensor.requires_grad else tensor.detach().cpu().numpy()


def measure(program, setup, dtype, mode, n_batches, repeats):
    dtype = getattr(torch, dtype)
    model = program.build(setup, dtype, mode)
    optimizer = adam(model)
    given = batches(program, setup, dtype, n_batches)

    def step(batch):
        train_step(program, model, optimizer, batch, setup["scale"])

    edges = sum(b.inputs["edge_index"].shape[1] for b in given) / len(given)
    return {"seconds": seconds_per_step(step, given, repeats), "edges": edges}


def main(program):
    torch.set_num_threads(1)
    task, setup, *rest = sys.argv[1:]
    setup = json.loads(Path(setup).read_text())
    if task == "time":
        dtype, mode, n_batches, repeats = rest
        print(json.dumps(measure(program, setup, dtype, mode, int(n_batches), int(repeats))))
    else:
        losses = own_losses(program, setup)
        follow_e3md(program, setup, Path(rest[0]))
        print(json.dumps(losses))
