"""Models: blocks shared by every architecture, and the architectures assembled from them."""

from e3md.model.build import build_model
from e3md.model.config import MACEConfig, ModelConfig, NequIPConfig, SchNetConfig, SO3NetConfig

__all__ = [
    "MACEConfig",
    "ModelConfig",
    "NequIPConfig",
    "SO3NetConfig",
    "SchNetConfig",
    "build_model",
]
