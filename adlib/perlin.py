"""Synthetic anomalies as DeSTSeg (and DRAEM) make them: foreign textures where Perlin noise is high.

Everything is batched, and drawn from a generator that lives on the device of the images.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

EXPONENTS = (0, 6)      # a lattice has 2^a x 2^b cells, 0 <= a, b < 6
GREY = 114 / 255        # of the corners that a rotation leaves empty


def corrupt(images: Tensor, textures: Tensor, *, generator: Generator, opacity: tuple[float, float] = (0.2, 1.0),
            probability: float = 1.0, exponents: tuple[int, int] = EXPONENTS, threshold: float = 0.5,
            rotation: float = 90.0) -> tuple[Tensor, Tensor]:
    """Blend a random texture into a random region of each image (DeSTSeg, CVPR 2023): the images, and the regions.

    With I the image, A its texture, M its mask and beta its opacity: (1 - M) I + M (beta A + (1 - beta) I).

    Parameters
    ----------
    images : (B, 3, S, S) float tensor in [0, 1]
        S as in `perlin_noise`. The result keeps their memory format.
    textures : (T, 3, S, S) uint8 or float tensor
        On the device of the images, quickest in their memory format. Not augmented, unlike in DRAEM.
    opacity : (low, high)
        beta is uniform in (low, high]. The official code's (0.2, 1); the paper writes (0.15, 1).
    probability : float
        Of an image being touched at all; DRAEM's is 0.5.
    exponents, threshold, rotation
        Of `anomaly_masks`. About one mask in twenty is empty by itself; such an image stays clean.

    Returns
    -------
    (B, 3, S, S) float tensor in [0, 1]; (B, 1, S, S) float32 tensor, 1 where the image was changed, else 0

    Raises
    ------
    ValueError
        Textures that do not fit the images, or numbers out of their range.
    """
    low, high = opacity
    if not 0 <= low <= high <= 1:
        raise ValueError(f"opacity={opacity} must be two numbers in [0, 1], the smaller first, for example (0.2, 1.0)")
    if not 0 <= probability <= 1:
        raise ValueError(f"probability={probability} must be in [0, 1]")
    if len(textures) == 0 or textures.shape[1:] != images.shape[1:]:
        raise ValueError(f"textures have the shape {tuple(textures.shape)}, images {tuple(images.shape)}; give at "
                         f"least one texture of the images' size, load_textures(source, {images.shape[-1]})")
    n, device = len(images), images.device
    masks = anomaly_masks(n, images.shape[-1], generator=generator, exponents=exponents, threshold=threshold,
                          rotation=rotation)
    masks *= torch.rand(n, 1, 1, 1, generator=generator, device=device) < probability
    beta = high - (high - low) * torch.rand(n, 1, 1, 1, generator=generator, device=device)
    which = torch.randint(len(textures), (n,), generator=generator, device=device)
    blend = torch.empty_like(images).copy_(textures[which])     # in place from here: memory costs more than arithmetic
    if textures.dtype == torch.uint8:
        blend /= 255
    return torch.lerp(images, blend, beta * masks, out=blend), masks     # a weight of 0 is the image, bit for bit


def anomaly_masks(n: int, size: int, *, generator: Generator, exponents: tuple[int, int] = EXPONENTS,
                  threshold: float = 0.5, rotation: float = 90.0) -> Tensor:
    """Random regions: turned Perlin noise above a threshold. About 5 % are empty, the others cover 5 % of the image.

    Parameters
    ----------
    n, size, generator, exponents
        Of `perlin_noise`.
    threshold : float
        The noise is nearly always in [-1, 1].
    rotation : float
        The noise, not the mask, is turned by up to this many degrees either way.

    Returns
    -------
    (n, 1, size, size) float32 tensor of 0 and 1
    """
    noise = perlin_noise(n, size, generator=generator, exponents=exponents)
    degrees = uniform(n, rotation, generator)
    return rotate(noise[:, None], degrees).gt_(threshold)


def perlin_noise(n: int, size: int, *, generator: Generator, exponents: tuple[int, int] = EXPONENTS) -> Tensor:
    """Perlin noise (SIGGRAPH 2002), each image with a lattice of its own.

    Parameters
    ----------
    n : int
    size : int
        S, a multiple of the finest lattice's cells, which are 32 by default.
    generator : torch.Generator
        The noise is made on its device.
    exponents : (low, high)
        A lattice has 2^a x 2^b cells, a and b drawn from low, ..., high - 1.

    Returns
    -------
    (n, S, S) float32 tensor
        About in [-1, 1], 0 at the lattice's points.

    Examples
    --------
    >>> noise = perlin_noise(2, 64, generator=Generator().manual_seed(0), exponents=(2, 3))     # 4 x 4 cells
    >>> noise.shape, noise[:, ::16, ::16].abs().max()
    (torch.Size([2, 64, 64]), tensor(0.))
    """
    low, high = exponents
    if not 0 <= low < high:
        raise ValueError(f"exponents={exponents} must be 0 or more, the smaller first, the second left out; (0, 6)")
    finest = 2 ** (high - 1)
    if size % finest:
        raise ValueError(f"size={size} must be a multiple of {finest}, the cells of the finest lattice; "
                         f"for example {finest * max(1, round(size / finest))}")
    device = generator.device
    cells = 2 ** torch.randint(low, high, (n, 2), generator=generator, device=device)
    angles = 2 * math.pi * torch.rand(n, finest + 1, finest + 1, generator=generator, device=device)
    return noise_from_gradients(torch.stack([angles.sin(), angles.cos()], dim=1), cells, size)


def noise_from_gradients(gradients: Tensor, cells: Tensor, size: int) -> Tensor:
    """Perlin noise of given gradients, times sqrt(2).

    At each pixel, the sum over the four lattice points around it of fade(1 - |dy|) fade(1 - |dx|) (gy dy + gx dx),
    with (dy, dx) the way from the point in cells. It is separable, hence for the whole batch a product of matrices.

    Parameters
    ----------
    gradients : (N, 2, P, P) float tensor
        y and x component at each lattice point.
    cells : (N, 2) integer tensor
        Along y and x, each at most P - 1; the points beyond are not used.
    size : int
        S.

    Returns
    -------
    (N, S, S) float32 tensor
    """
    rows, columns = (axis_weights(cells[:, k], gradients.shape[-1], size) for k in range(2))
    (wy, dy), (wx, dx) = rows, columns                              # (N, S, P) each
    with torch.autocast(gradients.device.type, enabled=False):      # the threshold sees bf16's steps
        left = torch.cat([dy @ gradients[:, 0], wy @ gradients[:, 1]], dim=2)       # 2 (N, S, P) -> (N, S, 2P)
        return left @ (math.sqrt(2) * torch.cat([wx, dx], dim=2)).mT                # (N, S, 2P) -> (N, S, S)


def axis_weights(cells: Tensor, points: int, size: int) -> tuple[Tensor, Tensor]:
    """Along one axis, (N, S, P) each: the weight of each lattice point at each pixel, and weight times distance."""
    at = torch.arange(size, device=cells.device) * (cells[:, None] / size)          # (N, S), in cells
    away = at[:, :, None] - torch.arange(points, device=cells.device)               # (N, S) -> (N, S, P)
    weight = fade((1 - away.abs()).clamp(min=0))                    # 0 for all but the two points around a pixel
    return weight, weight * away


def fade(t: Tensor) -> Tensor:
    """6 t^5 - 15 t^4 + 10 t^3, from 0 to 1 with two vanishing derivatives at either end.

    >>> fade(torch.tensor([0.0, 0.25, 0.5, 1.0]))
    tensor([0.0000, 0.1035, 0.5000, 1.0000])
    """
    return t**3 * (t * (6 * t - 15) + 10)


def rotate_images(images: Tensor, rotation: str = "none", *, generator: Generator) -> Tensor:
    """Turn normal images at random, before anomalies are put in (DeSTSeg's official code; see `settings.ROTATION`).

    Parameters
    ----------
    images : (B, 3, S, S) float tensor in [0, 1]
    rotation : {"none", "slight", "full"}
        By up to 5 degrees either way; with "full" by a multiple of 90 degrees besides.

    Returns
    -------
    (B, 3, S, S) float tensor
        In [0, 1] and the images' memory format; empty corners are grey.
    """
    if rotation not in ("none", "slight", "full"):
        raise ValueError(f"rotation={rotation!r} must be 'none', 'slight' or 'full'")
    if rotation == "none":
        return images
    degrees = uniform(len(images), 5.0, generator)
    if rotation == "full":
        degrees = degrees + 90 * torch.randint(4, degrees.shape, generator=generator, device=degrees.device)
    turned = rotate(images - GREY, degrees) + GREY      # what comes from outside is 0 in between, so grey
    return torch.empty_like(images).copy_(turned.clamp(0, 1))


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """(B, C, S, S) images, each turned counter-clockwise about its centre by its angle; bilinear, 0 outside."""
    size, angle = images.shape[-1], degrees.deg2rad()[:, None]
    at = (2 * torch.arange(size, device=images.device) + 1) / size - 1      # pixel centres, in [-1, 1]
    x = torch.stack([angle.cos() * at, angle.sin() * at], dim=2)            # (B, S, 2): where a column is read from
    y = torch.stack([-angle.sin() * at, angle.cos() * at], dim=2)           # and a row
    return F.grid_sample(images, y[:, :, None] + x[:, None], align_corners=False)       # at (B, S, S, 2)


def uniform(n: int, most: float, generator: Generator) -> Tensor:
    """n numbers in [-most, most], on the generator's device."""
    return most * (2 * torch.rand(n, generator=generator, device=generator.device) - 1)
