"""Random bits of NumPy's in machine code, to the last one.

Philox4x64-10 (Salmon et al. 2011, doi 10.1145/2063384.2063405), normals by the Ziggurat method (Marsaglia & Tsang
2000, doi 10.18637/jss.v005.i08) with NumPy's tables, which Numba carries, and whole numbers by multiplication (Lemire
2019, doi 10.1145/3230636).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numba.np.random._constants import fi_double, ki_double, wi_double, ziggurat_nor_inv_r, ziggurat_nor_r

from pytams.core.streams import BRANCH, CHUNK, MEMBER, POSITION, PURPOSE, SEED

# A stream: counter (4 words), key (2), the last four words drawn, and how many of those are used.
_COUNTER, _KEY, _BUFFER, USED, STREAM_SIZE = 0, 4, 6, 10, 11


@intrinsic
def _high_word(typing_context: Any, a: Any, b: Any) -> Any:  # noqa: ARG001 - Numba's signature
    """High 64 bits of the product of two 64-bit words."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001 - Numba's signature
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), code


@njit
def _refill(stream: Any) -> None:
    """Count on, and draw four words: ten rounds of Philox."""
    stream[0] += np.uint64(1)  # 2**64 blocks of a stream are never used up
    c0, c1, c2, c3 = stream[0], stream[1], stream[2], stream[3]
    k0, k1 = stream[4], stream[5]
    m0, m1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
    for _ in range(10):
        c0, c1, c2, c3 = _high_word(m1, c2) ^ c1 ^ k0, m1 * c2, _high_word(m0, c0) ^ c3 ^ k1, m0 * c0
        k0 += np.uint64(0x9E3779B97F4A7C15)
        k1 += np.uint64(0xBB67AE8584CAA73B)
    stream[6], stream[7], stream[8], stream[9] = c0, c1, c2, c3
    stream[USED] = np.uint64(0)


@njit
def _word(stream: Any) -> Any:
    if stream[USED] == np.uint64(4):
        _refill(stream)
    word = stream[np.uint64(_BUFFER) + stream[USED]]
    stream[USED] += np.uint64(1)
    return word


@njit
def _uniform(stream: Any) -> Any:
    return float(np.int64(_word(stream) >> np.uint64(11))) * (1.0 / 9007199254740992.0)


@njit
def normal(stream: Any) -> Any:
    """Draw a standard normal number."""
    while True:
        word = _word(stream)
        layer = np.int64(word & np.uint64(0xFF))
        word >>= np.uint64(8)
        negative = word & np.uint64(1)
        magnitude = (word >> np.uint64(1)) & np.uint64(0x000FFFFFFFFFFFFF)
        x = float(np.int64(magnitude)) * wi_double[layer]
        if negative:
            x = -x
        if magnitude < ki_double[layer]:
            return x
        if layer == 0:
            while True:
                tail = -ziggurat_nor_inv_r * math.log1p(-_uniform(stream))
                height = -math.log1p(-_uniform(stream))
                if height + height > tail * tail:
                    if (magnitude >> np.uint64(8)) & np.uint64(1):
                        return -(ziggurat_nor_r + tail)
                    return ziggurat_nor_r + tail
        low, high = fi_double[layer], fi_double[layer - 1]
        if (high - low) * _uniform(stream) + low < math.exp(-0.5 * x * x):
            return x


@njit
def skip(stream: Any, n: int) -> None:
    """Draw so many standard normal numbers, for nobody."""
    for _ in range(n):
        normal(stream)


@njit
def below(stream: Any, n: int, drawn: Any) -> None:
    """Draw whole numbers below n <= 2**32, as NumPy's generators do: two of each word."""
    if n == 1:
        drawn[:] = 0
        return
    limit = np.uint64(n)
    low_half, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    threshold = np.uint64(2**32) % limit
    word, is_left = np.uint64(0), False
    for i in range(len(drawn)):
        while True:
            word = word >> half if is_left else _word(stream)
            is_left = not is_left
            product = (word & low_half) * limit
            if product & low_half >= threshold:
                break
        drawn[i] = product >> half


@njit
def open_stream(stream: Any, seed: Any, purpose: int, member: Any, branch: Any, chunk: Any) -> None:
    """Go to the start of a stream: the key and the counter of `pytams.core.streams`."""
    stream[_KEY + SEED], stream[_KEY + PURPOSE] = seed, np.uint64(purpose)
    stream[_COUNTER + POSITION], stream[_COUNTER + CHUNK] = np.uint64(0), np.uint64(chunk)
    stream[_COUNTER + BRANCH], stream[_COUNTER + MEMBER] = np.uint64(branch), np.uint64(member)
    stream[USED] = np.uint64(4)


@njit
def open_chunk(stream: Any, chunk: int) -> None:
    """Go to the start of another chunk of the segment's noise."""
    stream[_COUNTER + POSITION] = np.uint64(0)
    stream[_COUNTER + CHUNK] = np.uint64(chunk)
    stream[USED] = np.uint64(4)
