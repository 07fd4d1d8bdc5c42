"""Ed25519 arithmetic for the vectors: points, strict verification, and the pieces of forgeries.

Slow and not constant in time: for test keys only. Nothing here makes honest signatures; `generate.py` takes those
from a library, so that the two check each other.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1)


def recover_x(y, sign):
    """The x of the point with this y (reduced modulo P first), or None where the curve has none."""
    y %= P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    if (x * x - square) % P:
        return None
    return (P - x) % P if x & 1 != sign else x


def decode_point(data):
    """The point these 32 bytes name, canonical or not, or None."""
    number = int.from_bytes(data, "little")
    y = number & (2**255 - 1)
    x = recover_x(y, number >> 255)
    return None if x is None else (x, y % P)


def encode_point(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def extended(point):
    x, y = point
    return (x, y, 1, x * y % P)


def add_extended(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def affine(p):
    inverse = pow(p[2], P - 2, P)
    return (p[0] * inverse % P, p[1] * inverse % P)


def add(p, q):
    return affine(add_extended(extended(p), extended(q)))


def multiply(scalar, point):
    result, doubled = extended(IDENTITY), extended(point)
    while scalar:
        if scalar & 1:
            result = add_extended(result, doubled)
        doubled = add_extended(doubled, doubled)
        scalar >>= 1
    return affine(result)


BASE = (recover_x(4 * pow(5, P - 2, P), 0), 4 * pow(5, P - 2, P) % P)


def is_small_order(point):
    return multiply(8, point) == IDENTITY


def is_key(data):
    """Whether the bytes are a public key: a point, canonically encoded, not of small order."""
    point = decode_point(data)
    return point is not None and encode_point(point) == data and not is_small_order(point)


def challenge(r, key, message):
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def secret_scalar(seed):
    digest = bytearray(hashlib.sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    return int.from_bytes(digest, "little")


def verify_strict(key, message, signature):
    """The one rule of validity: S below L, neither A nor R of small order, [S]B = R + [k]A without the cofactor."""
    s = int.from_bytes(signature[32:], "little")
    a, r = decode_point(key), decode_point(signature[:32])
    if s >= L or a is None or r is None or is_small_order(a) or is_small_order(r):
        return False
    k = challenge(signature[:32], key, message)
    negative = (P - a[0], a[1])
    return encode_point(add(multiply(s, BASE), multiply(k, negative))) == signature[:32]
