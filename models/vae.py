"""Wan's video autoencoder: pixels to normalised latents and back, in whole clips or as they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor

from models.errors import WeightsError
from models.vae_decode import decoded_chunks
from models.vae_encode import ChunkedEncoder
from models.vae_load import load_autoencoder
from models.vae_pixels import PixelFrames, Video
from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import PIXELS_PER_LATENT, frame_count


class WanVae:
    """The VAE of Wan 2.1, which the Wan 2.2 A14B models use too.

    `module` is the diffusers autoencoder itself; its tiling settings are honoured in both directions. Nothing
    in it is changed, so one autoencoder may be wrapped more than once.
    """

    def __init__(self, module: AutoencoderKLWan) -> None:
        """Wrap an autoencoder that is already in memory."""
        if module.config.patch_size is not None or module.config.is_residual:
            raise WeightsError(
                "this is the VAE of Wan 2.2 TI2V 5B; the VAE of Wan 2.1 and Wan 2.2 A14B is needed"
            )
        self.module = module
        self._encoder = ChunkedEncoder(module)

    @classmethod
    def load(
        cls, path: str | Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> WanVae:
        """Read a single file (original or diffusers names) or a diffusers folder.

        The layout is inferred from the tensors where no config.json says it. Raises `WeightsError`.
        """
        return cls(load_autoencoder(Path(path), dtype=dtype, device=torch.device(device)))

    @property
    def device(self) -> torch.device:
        """Where the weights are, and so the latents of `encode` and the pixels of `decode`."""
        device: torch.device = self.module.quant_conv.weight.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights and of the computation."""
        dtype: torch.dtype = self.module.quant_conv.weight.dtype
        return dtype

    @property
    def latents_mean(self) -> tuple[float, ...]:
        """Mean of each latent channel, from this VAE's own config."""
        return tuple(self.module.config.latents_mean)

    @property
    def latents_std(self) -> tuple[float, ...]:
        """Standard deviation of each latent channel, from this VAE's own config."""
        return tuple(self.module.config.latents_std)

    def encode(self, video: Video, end_frame: bool = False) -> Tensor:
        """Normalised latents, float32 [16, T, h, w]: the posterior's mean m as (m - mean) * (1 / std).

        `video`: float [3, t, H, W] in [-1, 1], or parts of it in order of time; t is 4k+1, H and W are
        multiples of 8. Runs of equal frames cost little: a part made by `expand` is known to be one, a
        single tensor is compared once. With `end_frame` t is 4k+2 and the last frame is encoded as if it
        were a first one. Raises `ConditioningError`.
        """
        pixels = PixelFrames(video)
        if pixels.height % PIXELS_PER_LATENT or pixels.width % PIXELS_PER_LATENT:
            raise ConditioningError(
                f"pixels are {pixels.height} high and {pixels.width} wide; legal are multiples of 8"
            )
        mean, _ = self._encoder.moments(pixels, end_frame=end_frame).chunk(2, dim=1)
        return self.normalise(mean[0].float())

    def decode(self, latents: Tensor, end_frame: bool = False) -> Tensor:
        """Pixels, float32 [3, t, H, W] in [-1, 1], of normalised latents [16, T, h, w]."""
        return torch.cat(list(self.decode_chunks(latents, end_frame)), dim=1)

    def decode_chunks(self, latents: Tensor, end_frame: bool = False) -> Iterator[Tensor]:
        """The pixels of `decode` as they come: [3, 1, H, W], then [3, 4, H, W] per latent frame.

        With `end_frame` the last latent gives 1 frame: 22 latents, 82 frames. Raises `ConditioningError` at
        once; nothing is decoded before it is asked for.
        """
        self._check_latents(latents)
        frame_count(latents.shape[1], end_frame=end_frame)
        scaled = self.denormalise(latents.to(self.device, self.dtype)).unsqueeze(0)
        return (chunk[0].float() for chunk in decoded_chunks(self.module, scaled, end_frame=end_frame))

    def _check_latents(self, latents: object) -> None:
        legal = f"legal is [{self.module.config.z_dim}, T, h, w]"
        if not isinstance(latents, Tensor):
            raise ConditioningError(f"latents are a {type(latents).__name__}; {legal}")
        fits = latents.ndim == 4 and latents.shape[0] == self.module.config.z_dim
        if not fits or not latents.shape[2:].numel():
            raise ConditioningError(f"latents are {list(latents.shape)}; {legal}")
        if not latents.is_floating_point():
            raise ConditioningError(f"latents are {latents.dtype}; legal are floating-point numbers")

    def normalise(self, mean: Tensor) -> Tensor:
        """(m - mean) * (1 / std) of [16, T, h, w], in its dtype. Dividing differs in the last bit."""
        centre, inverse = self._statistics(mean)
        return (mean - centre) * inverse

    def denormalise(self, latents: Tensor) -> Tensor:
        """z / (1 / std) + mean of [16, T, h, w], in the dtype of `latents`, as diffusers' pipelines do it."""
        centre, inverse = self._statistics(latents)
        return latents / inverse + centre

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        centre = torch.tensor(self.latents_mean).to(like.device, like.dtype).view(-1, 1, 1, 1)
        deviation = torch.tensor(self.latents_std).to(like.device, like.dtype).view(-1, 1, 1, 1)
        return centre, 1.0 / deviation
