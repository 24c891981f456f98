// SHA-256 (FIPS 180-4), for the checksum of model files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fastnst {

// `portable`: do not use the processor's SHA instructions, as on processors that have none.
std::array<uint8_t, 32> sha256(const uint8_t* data, size_t size, bool portable = false);

}  // namespace fastnst
