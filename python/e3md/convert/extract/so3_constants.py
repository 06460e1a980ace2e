"""SO(3) constants of SchNetPack's layers, which matgl has copied, in double precision.

The programs keep Clebsch-Gordan coefficients and the coefficients of spherical harmonics rounded to
float32, also in models that compute in float64. The functions here replace them by what they stand
for, so that the comparison sees the model and not 1e-8 of rounding.
"""

import torch


def clebsch_gordan(ops, l_max):
    """Real Clebsch-Gordan tensor by the program's own functions; `ops`: its module of them."""
    ops.generate_clebsch_gordan.cache_clear()
    ops.generate_sh_to_rsh.cache_clear()
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    to_real = ops.generate_sh_to_rsh(l_max)
    tensor = ops.generate_clebsch_gordan(l_max).to(torch.complex128)
    torch.set_default_dtype(default)
    parity = (-1.0) ** ops.sh_indices(l_max)[0]
    natural = parity[:, None, None] * parity[None, :, None] == parity[None, None, :]
    real = torch.einsum("ijk,mi,nj,ok->mno", tensor, to_real, to_real, to_real.conj()).real
    return real * natural


def refine(model, ops):
    """Set the coupling coefficients of every product and convolution in a model."""
    for module in model.modules():
        if hasattr(module, "clebsch_gordan"):
            exact = clebsch_gordan(ops, module.lmax)
            chosen = exact[module.idx_in_1, module.idx_in_2, module.idx_out]
            if (chosen - module.clebsch_gordan).abs().max() > 1e-6:
                raise ValueError("coupling coefficients that are not Clebsch-Gordan's")
            module.clebsch_gordan = chosen
