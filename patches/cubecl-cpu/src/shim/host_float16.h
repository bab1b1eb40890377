// Two-byte floats: stored in 16 bits, computed in 32, rounded to nearest even after every operation.
#pragma once
#include "host_cuda.h"

namespace host {

inline uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}
inline float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

// 1 bit of sign, 8 of exponent, 7 of fraction: the upper half of a float.
struct Brain {
    static float widen(uint16_t bits) { return float_of(uint32_t(bits) << 16); }
    static uint16_t narrow(float x) {
        if (x != x) return 0x7fff;
        uint32_t const bits = bits_of(x);
        return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
};

// IEEE 754 binary16.
struct Half {
    static float widen(uint16_t bits) {
        uint32_t const sign = uint32_t(bits & 0x8000) << 16;
        int const exponent = bits >> 10 & 31;
        uint32_t const fraction = bits & 1023;
        if (exponent == 31) return float_of(sign | 0x7f800000 | fraction << 13);
        float const magnitude = exponent ? ldexpf(float(1024 + fraction), exponent - 25) : ldexpf(float(fraction), -24);
        return sign ? -magnitude : magnitude;
    }
    static uint16_t narrow(float x) {
        uint16_t const sign = uint16_t(bits_of(x) >> 16 & 0x8000);
        if (x != x) return 0x7fff;
        float const magnitude = fabsf(x);
        if (magnitude >= 65520.0f) return sign | 0x7c00;
        if (magnitude < ldexpf(1.0f, -14)) return sign | uint16_t(rintf(ldexpf(magnitude, 24)));
        uint32_t const bits = bits_of(magnitude);
        return sign | uint16_t(((bits + 0xfff + (bits >> 13 & 1)) >> 13) - (112 << 10));
    }
};

template <typename Format>
struct Float16 {
    uint16_t bits;

    Float16() = default;
    template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
    Float16(T x) : bits(Format::narrow(float(x))) {}
    operator float() const { return Format::widen(bits); }
    Float16 operator-() const {
        Float16 result;
        result.bits = bits ^ 0x8000;
        return result;
    }
};
#define HOST_OPERATOR(op)                                                             \
    template <typename F>                                                             \
    inline Float16<F> operator op(Float16<F> a, Float16<F> b) {                       \
        return Float16<F>(float(a) op float(b));                                      \
    }
HOST_OPERATOR(+)
HOST_OPERATOR(-)
HOST_OPERATOR(*)
HOST_OPERATOR(/)
#undef HOST_OPERATOR

template <typename Format>
struct alignas(4) Pair16 {
    Float16<Format> x, y;

    Pair16() = default;
    Pair16(Float16<Format> x, Float16<Format> y) : x(x), y(y) {}
    Pair16 operator-() const { return {-x, -y}; }
};
#define HOST_OPERATOR(op)                                                             \
    template <typename F>                                                             \
    inline Pair16<F> operator op(Pair16<F> a, Pair16<F> b) {                          \
        return {a.x op b.x, a.y op b.y};                                              \
    }
HOST_OPERATOR(+)
HOST_OPERATOR(-)
HOST_OPERATOR(*)
HOST_OPERATOR(/)
#undef HOST_OPERATOR

inline float nan_min(float a, float b) { return a != a ? a : b != b ? b : fminf(a, b); }
inline float nan_max(float a, float b) { return a != a ? a : b != b ? b : fmaxf(a, b); }

}  // namespace host

#define HOST_UNARY(name, pair, function)                                                                          \
    template <typename F>                                                                                         \
    inline host::Float16<F> name(host::Float16<F> a) { return host::Float16<F>(function(float(a))); }             \
    template <typename F>                                                                                         \
    inline host::Pair16<F> pair(host::Pair16<F> a) { return {name(a.x), name(a.y)}; }
HOST_UNARY(hlog, h2log, logf)
HOST_UNARY(hsin, h2sin, sinf)
HOST_UNARY(hcos, h2cos, cosf)
HOST_UNARY(htanh, h2tanh, tanhf)
HOST_UNARY(hsqrt, h2sqrt, sqrtf)
HOST_UNARY(hrsqrt, h2rsqrt, rsqrt)
HOST_UNARY(hexp, h2exp, expf)
HOST_UNARY(hceil, h2ceil, ceilf)
HOST_UNARY(htrunc, h2trunc, truncf)
HOST_UNARY(hfloor, h2floor, floorf)
HOST_UNARY(hrint, h2rint, rintf)
HOST_UNARY(__habs, __habs2, fabsf)
#undef HOST_UNARY

#define HOST_BINARY(name, pair, function)                                                                                             \
    template <typename F>                                                                                                             \
    inline host::Float16<F> name(host::Float16<F> a, host::Float16<F> b) { return host::Float16<F>(function(float(a), float(b))); }   \
    template <typename F>                                                                                                             \
    inline host::Pair16<F> pair(host::Pair16<F> a, host::Pair16<F> b) { return {name(a.x, b.x), name(a.y, b.y)}; }
HOST_BINARY(__hmin, __hmin2, fminf)
HOST_BINARY(__hmax, __hmax2, fmaxf)
HOST_BINARY(__hmin_nan, __hmin2_nan, host::nan_min)
HOST_BINARY(__hmax_nan, __hmax2_nan, host::nan_max)
#undef HOST_BINARY

template <typename F>
inline host::Float16<F> __hfma(host::Float16<F> a, host::Float16<F> b, host::Float16<F> c) {
    return host::Float16<F>(fmaf(float(a), float(b), float(c)));
}
template <typename F>
inline host::Pair16<F> __hfma2(host::Pair16<F> a, host::Pair16<F> b, host::Pair16<F> c) {
    return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
template <typename F>
inline bool __hisnan(host::Float16<F> a) { return isnan(float(a)); }
template <typename F>
inline int __hisinf(host::Float16<F> a) { return isinf(float(a)); }
