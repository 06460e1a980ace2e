"""Models: blocks shared by every architecture, and the architectures assembled from them."""

from e3md.model.build import (
    MACEConfig,
    ModelConfig,
    NequIPConfig,
    SchNetConfig,
    SO3NetConfig,
    build_model,
)

__all__ = [
    "MACEConfig",
    "ModelConfig",
    "NequIPConfig",
    "SO3NetConfig",
    "SchNetConfig",
    "build_model",
]
